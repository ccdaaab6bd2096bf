"""pySigma's reading of rules, with what it refuses of Sigma 2.1 and what it does not bound."""
