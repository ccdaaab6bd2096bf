"""From Sigma's fields and log sources to this project's attributes and events: tables, and what reads them.

`pipeline` makes of them the pySigma processing pipeline that both engines use; it alone imports pySigma.
"""
