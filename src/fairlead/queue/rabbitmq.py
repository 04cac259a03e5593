"""Hints through RabbitMQ: the only module that knows pika.

There are two queues, both declared at each connection. `fairlead.tasks` is a durable quorum queue
that takes up to `Limits.length` hints. What is no hint goes to `fairlead.dead`, with the reason in
the header `x-fairlead-reason`; the broker puts there what was delivered too often or what nobody
took in time, with the reason in its own header `x-death`. Nothing reads `fairlead.dead` but people,
and its oldest messages make room for new ones.

Only what RabbitMQ 3.10 and 4 both have is used, and every limit is given, since defaults differ.
"""

from __future__ import annotations

import logging
import ssl
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fairlead.errors import Invalid, Unreachable
from fairlead.queue.address import Address, read_address
from fairlead.queue.interface import Queue
from fairlead.queue.message import LARGEST
from fairlead.queue.session_thread import PATIENCE, Message, ThreadedQueue

try:
    import pika
    from pika import exceptions as amqp
except ImportError:
    raise Invalid(
        "$FAIRLEAD_QUEUE needs a library that is not installed: pip install 'fairlead[rabbitmq]'"
    ) from None

if TYPE_CHECKING:
    from pika.adapters.blocking_connection import BlockingChannel

REASON = "x-fairlead-reason"
_BLOCKED = 60  # seconds that a broker short of memory or disk may keep a publisher waiting
_TRIES, _BETWEEN_TRIES = 5, 0.1  # of a publish that is refused though the queue is empty
_DECLARED_OTHERWISE = 406
_NOT_ALLOWED = 403


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What bounds the queues.

    Args:
        length: Hints that wait; once there are so many, further ones are not needed.
        seconds: That a hint waits for a worker.
        deliveries: How often a hint is given to a worker that does not acknowledge it.
        dead: Messages that are kept for people.
        dead_seconds: How long these are kept.
        unused_seconds: How long the queue of one study is there while nobody uses it.
    """

    length: int = 1000
    seconds: float = 3600.0
    deliveries: int = 20
    dead: int = 1000
    dead_seconds: float = 14 * 86_400.0
    unused_seconds: float = 86_400.0


LIMITS = Limits()


@dataclass(frozen=True, kw_only=True)
class Names:
    """What the queues are called."""

    tasks: str
    dead: str

    @classmethod
    def of(cls, prefix: str, study: str) -> Names:
        """The names under a prefix; a study's hints have a queue of their own."""
        tasks = f"{prefix}fairlead.tasks"
        return cls(tasks=f"{tasks}.{study}" if study else tasks, dead=f"{prefix}fairlead.dead")


def open_queue(
    url: str,
    *,
    notice: Callable[[str], None],
    study: str = "",
    limits: Limits = LIMITS,
    patience: float = PATIENCE,
) -> Queue:
    """Open the queue of a broker, which need not be there yet.

    Args:
        url: amqp:// or amqps://; `Address` says what it may hold.
        notice: Is told, in a line, when the broker is lost and when it is back.
        study: Id of the study whose hints alone are told and heard; those of no study if empty.
        limits: Bounds of queues that are not there yet.
        patience: Seconds that `announce` and `close` wait for the broker.

    Raises:
        Invalid: The URL or a file that it names cannot be read.
    """
    address = read_address(url)
    _parameters(address)  # whoever asks is told at once what is wrong with a file
    names = Names.of(address.prefix, study)
    pika_log = logging.getLogger("pika")
    if pika_log.level == logging.NOTSET:  # it logs tracebacks of what `notice` tells in a line
        pika_log.setLevel(logging.CRITICAL + 1)
    return ThreadedQueue(
        lambda: RabbitSession(address, names, limits),
        name=f"RabbitMQ at {address}",
        notice=notice,
        patience=patience,
    )


class RabbitSession:
    """One connection with one channel, whose queues are declared; of one thread.

    Raises:
        Invalid: A file that the address names cannot be read.
        Unreachable: There is no broker, or it refuses.
    """

    def __init__(self, address: Address, names: Names, limits: Limits) -> None:
        parameters = _parameters(address)
        self._address = address
        self._names = names
        self._arrived: list[Message] = []
        self._tag: str | None = None
        with self._translated():
            self._connection = pika.BlockingConnection(parameters)
        try:
            with self._translated():
                self._channel = self._connection.channel()
                self._declare(names.dead, _dead_arguments(limits))
                self._declare(names.tasks, _tasks_arguments(names, limits))
                self._channel.confirm_delivery()
                self._channel.basic_qos(prefetch_count=1)
        except BaseException:
            self.close()
            raise

    @property
    def consuming(self) -> bool:
        """Whether the broker may send a message."""
        return self._tag is not None

    def publish(self, body: bytes) -> None:
        """Publish a hint. A full queue has hints for everybody: one more is not needed.

        A queue whose hints were just taken refuses further ones until its publishers have heard.
        """
        with self._translated():
            for _ in range(_TRIES):
                try:
                    self._publish(self._names.tasks, body, {})
                except amqp.NackError as error:
                    refused = error
                    if self._has_hints():
                        return
                    self._connection.sleep(_BETWEEN_TRIES)
                else:
                    return
            raise refused

    def consume(self) -> None:
        """Ask for one message; the next one is sent only when this one is acknowledged."""
        with self._translated():
            self._tag = self._channel.basic_consume(self._names.tasks, self._keep)

    def cancel(self) -> None:
        """Ask for no more."""
        if self._tag is not None:
            with self._translated():
                self._channel.basic_cancel(self._tag)
            self._tag = None

    def acknowledge(self, tag: int) -> None:
        """Have the broker forget the message."""
        with self._translated():
            self._channel.basic_ack(tag)

    def give_back(self, tag: int) -> None:
        """Put the message back into the queue."""
        with self._translated():
            self._channel.basic_nack(tag, requeue=True)

    def bury(self, message: Message, reason: str) -> None:
        """Publish it among the dead letters; then the queue may forget it."""
        headers = {REASON: reason, "x-fairlead-queue": self._names.tasks}
        with self._translated():
            self._publish(self._names.dead, message.body[:LARGEST], headers)
        self.acknowledge(message.tag)

    def turn(self, seconds: float) -> Message | None:
        """Answer the broker for so long, or until a message comes or it is woken.

        pika says nothing of a channel that the broker closed, or of a consumer that it cancelled.
        """
        with self._translated():
            if not self._arrived:
                self._connection.process_data_events(seconds)
            if not self._channel.is_open:
                raise Unreachable(f"RabbitMQ at {self._address} closed the channel")
            if self._tag is not None and self._tag not in self._channel.consumer_tags:
                raise Unreachable(f"queue {self._names.tasks!r} of {self._address} was deleted")
        return self._arrived.pop(0) if self._arrived else None

    def wake(self) -> None:
        """End the turn that goes on, or else the next one; any thread may ask."""
        with suppress(amqp.ConnectionWrongStateError):  # its own thread will see that
            self._connection.add_callback_threadsafe(_nothing)

    def close(self) -> None:
        """Close the connection, if it is still there; what was not acknowledged goes back."""
        with suppress(amqp.AMQPError, OSError):
            if self._connection.is_open:
                self._connection.close()

    def _keep(
        self,
        _channel: BlockingChannel,
        method: pika.spec.Basic.Deliver,
        _properties: pika.BasicProperties,
        body: bytes,
    ) -> None:
        assert method.delivery_tag is not None
        self._arrived.append(Message(tag=method.delivery_tag, body=body))

    def _has_hints(self) -> bool:
        declared = self._channel.queue_declare(self._names.tasks, passive=True)
        return declared.method.message_count != 0

    def _publish(self, queue: str, body: bytes, headers: Mapping[str, str]) -> None:
        properties = pika.BasicProperties(
            content_type="application/json",
            delivery_mode=pika.DeliveryMode.Persistent,
            headers=dict(headers),
            app_id="fairlead",
        )
        self._channel.basic_publish("", queue, body, properties, mandatory=True)

    def _declare(self, name: str, arguments: Mapping[str, str | int]) -> None:
        """Declare a queue; one that is there with other arguments is used as it is.

        So an operator may make the queues, with limits of their own and a user that may not.
        """
        try:
            self._channel.queue_declare(name, durable=True, arguments=arguments)
        except amqp.ChannelClosedByBroker as error:
            if error.reply_code not in {_DECLARED_OTHERWISE, _NOT_ALLOWED}:
                raise
            self._channel = self._connection.channel()
            if not self._is_there(name):
                raise

    def _is_there(self, name: str) -> bool:
        try:
            self._channel.queue_declare(name, passive=True)
        except amqp.ChannelClosedByBroker:
            return False
        return True

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """What pika raises, as one line.

        Raises:
            Unreachable: With the code `queue_refused` where somebody has to change something.
        """
        try:
            yield
        except (amqp.AMQPError, OSError, AssertionError) as error:  # pika asserts what it expects
            raise _described(error, self._address) from error


def _tasks_arguments(names: Names, limits: Limits) -> Mapping[str, str | int]:
    of_a_study = {"x-expires": _milliseconds(limits.unused_seconds)}
    return {
        "x-queue-type": "quorum",
        "x-max-length": limits.length,
        "x-overflow": "reject-publish",  # at-least-once, below, asks for it
        "x-message-ttl": _milliseconds(limits.seconds),
        "x-delivery-limit": limits.deliveries,
        "x-dead-letter-exchange": "",  # the one that knows queues by their names
        "x-dead-letter-routing-key": names.dead,
        "x-dead-letter-strategy": "at-least-once",
        **(of_a_study if names.tasks.rpartition("fairlead.tasks")[2] else {}),
    }


def _dead_arguments(limits: Limits) -> Mapping[str, str | int]:
    return {
        "x-queue-type": "quorum",
        "x-max-length": limits.dead,
        "x-overflow": "drop-head",  # one that refuses would keep dead letters in the other queue
        "x-message-ttl": _milliseconds(limits.dead_seconds),
    }


def _milliseconds(seconds: float) -> int:
    return round(seconds * 1000)


def _parameters(address: Address) -> pika.ConnectionParameters:
    return pika.ConnectionParameters(
        host=address.host,
        port=address.port,
        virtual_host=address.vhost,
        credentials=pika.PlainCredentials(address.user, address.current_password()),
        ssl_options=_ssl_options(address) if address.tls else None,
        heartbeat=address.heartbeat,
        socket_timeout=address.connection_timeout,
        stack_timeout=address.connection_timeout,
        blocked_connection_timeout=_BLOCKED,
        client_properties={"connection_name": "fairlead"},
    )


def _ssl_options(address: Address) -> pika.SSLOptions:
    try:
        context = ssl.create_default_context(cafile=address.cacertfile)
        if address.certfile is not None:
            context.load_cert_chain(address.certfile, address.keyfile)
    except OSError as error:  # ssl.SSLError is one
        files = (address.cacertfile, address.certfile, address.keyfile)
        named = ", ".join(repr(str(file)) for file in files if file is not None)
        raise Invalid(f"cannot read the certificates {named} for {address}: {error}") from None
    return pika.SSLOptions(context, server_hostname=address.host)


def _described(error: BaseException, address: Address) -> Unreachable:
    cause = _cause(error)
    is_refusal = True
    match cause:
        case amqp.ProbableAuthenticationError() | amqp.AuthenticationError():
            what = (
                f"refused user {address.user!r} or its password: "
                "correct $FAIRLEAD_QUEUE, or the file that it names"
            )
        case amqp.ProbableAccessDeniedError():
            what = (
                f"refused virtual host {address.vhost!r}: "
                f"it is not there, or user {address.user!r} may not use it"
            )
        case ssl.SSLError():
            what = f"and this machine could not agree on TLS: {_text(cause)}"
        case amqp.ChannelClosed():
            what = f"refused: {_text(cause)}"
        case amqp.UnroutableError():
            what, is_refusal = "has the queue no longer; it is declared again", False
        case amqp.NackError():
            what, is_refusal = "did not take a hint", False
        case _:
            what, is_refusal = f"does not answer: {_text(cause)}", False
    message = f"RabbitMQ at {address} {what}"
    return Unreachable(message, code="queue_refused") if is_refusal else Unreachable(message)


def _cause(error: BaseException) -> BaseException:
    """What is at the bottom of it: pika wraps errors in the arguments of others."""
    inner = getattr(error, "exception", None) or (error.args[0] if error.args else None)
    return _cause(inner) if isinstance(inner, BaseException) else error


def _text(error: BaseException) -> str:
    """In one line, as the system or the broker words it."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    if isinstance(error, amqp.ConnectionClosed | amqp.ChannelClosed):
        return f"{error.reply_text} ({error.reply_code})"
    return " ".join(str(error).split()) or type(error).__name__


def _nothing() -> None:
    """To be called is all that it is for."""
