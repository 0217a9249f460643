"""A short torture of a whole platform: a few of each cheap fault, and all invariants."""

from jobplatform.torture.plan import SHORT
from jobplatform.torture.run import SETTINGS, Order, run
from jobplatform.torture.stack import Shape


def test_a_platform_that_is_hurt_in_every_cheap_way_loses_nothing() -> None:
    said: list[str] = []
    shape = Shape(
        api_workers=1,
        worker_processes=1,
        keepers=1,
        settings=tuple((SETTINGS | {"RESEND_GRACE": "2000"}).items()),
    )
    order = Order(seed=1, jobs=300, seconds=15, deadline=90, deck=SHORT, shape=shape, repeat="this test")

    report = run(order, said.append)

    assert report.sound, "\n".join([*said, report.text()])
