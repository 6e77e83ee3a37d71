"""The subscribers of the user's own, as `tracking.subscribers` names them."""

from pipeline.errors import InputError, in_one_line
from pipeline.records import Trial
from pipeline.schema import Config
from pipeline.targets import call
from pipeline.tracking.display import print_line
from pipeline.tracking.subscriber import Occurrence, Subscriber


class Listener:
    """A subscriber of the user's: where it raises it is told of nothing more, and the trials go on."""

    def __init__(self, name: str, subscriber: Subscriber) -> None:
        self._name, self._subscriber = name, subscriber
        self._failed = False

    def on(self, trial: Trial | None, event: Occurrence) -> None:
        if self._failed:
            return
        try:
            self._subscriber.on(trial, event)
        except Exception as error:
            self._failed = True
            print_line(f"going on without the subscriber {self._name}, which failed: {in_one_line(error)}", "yellow")


def make_listeners(config: Config) -> list[Listener]:
    """Raises InputError for what is no subscriber."""
    listeners = []
    for target in config.tracking.subscribers:
        subscriber = call("tracking.subscribers", target)
        if not callable(getattr(subscriber, "on", None)):
            raise InputError(
                f"tracking.subscribers: {target.target} is no Subscriber: it has no method on(self, trial, event)."
            )
        listeners.append(Listener(target.target, subscriber))
    return listeners
