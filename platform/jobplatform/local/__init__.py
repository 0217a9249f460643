"""The embedded stack: Postgres, Valkey, a mail catcher, the API and a worker as children of one launcher.

``stack.up`` is what ``make run`` calls; the tests start the same servers through the same classes.
"""
