"""The rules processor: Sigma rules and correlations, run on the stream."""
