"""What pySigma's tools find when otel-fim is installed: `sigma.pipelines.otel_fim` and `sigma.backends.otel_fim`.

The wheel holds the two modules of this folder there and not here (pyproject.toml), because pySigma looks for plugins
in these two packages of its own.
"""
