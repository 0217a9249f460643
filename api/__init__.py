"""The HTTP API: Falcon resources over the engine. It writes nothing itself, and never touches a database."""
