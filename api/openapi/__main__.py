"""Print the document of an API with the job types of this repository: ``python -m api.openapi > openapi.json``."""

import msgspec

from api.openapi import describe
from jobplatform.broker import broker
from jobplatform.registry import load_actors


def main() -> str:
    """The text of openapi.json."""
    load_actors(("actors",))
    return msgspec.json.format(msgspec.json.encode(describe(broker.types, keyed=False)), indent=2).decode()


if __name__ == "__main__":
    print(main())
