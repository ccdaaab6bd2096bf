"""How hypothesis makes records: `st.from_type(Record)`, with every kind of value and few enough resources that
neighbours often share one."""

from __future__ import annotations

from hypothesis import strategies as st

from otel_fim.record import AnyValue, Record, Resource, Scope

_int64 = st.integers(-(2**63), 2**63 - 1)
_uint64 = st.integers(0, 2**64 - 1)
_uint32 = st.one_of(st.just(0), st.integers(0, 2**32 - 1))
_scalars = st.one_of(
    st.none(),
    st.booleans(),
    _int64,
    st.floats(allow_nan=False),
    st.just(float("nan")),  # JSON knows one NaN only
    st.text(max_size=20),
    st.text(min_size=100, max_size=300),
    st.binary(max_size=20),
)
_values: st.SearchStrategy[AnyValue] = st.recursive(
    _scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=5), inner, max_size=4)
    ),
    max_leaves=8,
)
_attributes = st.dictionaries(st.text(max_size=12), _values, max_size=6)
_few = st.sampled_from([{}, {"a": 1}, {"a": True}, {"a": 1.0}, {"host.name": "web-1", "": None}])
_resources = st.builds(Resource, _few, st.sampled_from(["", "https://x/1"]), st.sampled_from([0, 7]))
_scopes = st.builds(
    Scope,
    st.sampled_from(["", "otel_fim.receivers.x"]),
    st.sampled_from(["", "0.1.0"]),
    _few,
    st.sampled_from(["", "https://x/1"]),
    st.sampled_from([0, 7]),
)


def _identifier(size: int) -> st.SearchStrategy[bytes]:
    return st.one_of(st.just(b""), st.binary(min_size=size, max_size=size).filter(any))


st.register_type_strategy(
    Record,
    st.builds(
        Record,
        time_unix_nano=_uint64,
        observed_time_unix_nano=_uint64,
        event_name=st.text(max_size=20),
        severity_number=st.one_of(st.integers(0, 24), st.integers(-(2**31), 2**31 - 1)),
        severity_text=st.sampled_from(["", "INFO", "WARN"]),
        body=_values,
        attributes=_attributes,
        resource=_resources,
        scope=_scopes,
        trace_id=_identifier(16),
        span_id=_identifier(8),
        flags=_uint32,
        dropped_attributes_count=_uint32,
    ),
)
