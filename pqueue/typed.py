"""Typed items: a serializer around another, which has pydantic validate items and build them again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, ClassVar, Final, NoReturn

from pydantic import TypeAdapter, ValidationError
from pydantic.errors import PydanticUserError

from pqueue.abc import Serializer
from pqueue.errors import SerializationError, SettingsError
from pqueue.plain import plainer
from pqueue.same import difference, same

_TOLD: Final = 3
"""So many mistakes of one item are told."""

_PROBE: Final = (datetime(2000, 1, 1, tzinfo=UTC), Decimal("1.50"), b"\xff", {1: {2}})
"""What a serializer that keeps Python's own types takes."""


class ItemType:
    """Any type that pydantic can validate: a model, a dataclass, a TypedDict, a union, a generic, an Annotated."""

    def __init__(self, kind: Any) -> None:
        """Prepare it.

        Args:
            kind: the type, as an annotation says it.

        Raises:
            SettingsError: pydantic can't validate it.
        """
        self.kind = kind
        self.name = kind.__qualname__ if type(kind) is type or _is_model(kind) else repr(kind)
        try:
            self.adapter: TypeAdapter[Any] = TypeAdapter(kind)
            if not self.adapter.pydantic_complete:
                self.adapter.rebuild(raise_errors=True)
        except (PydanticUserError, NameError) as error:
            reason = str(error).splitlines()[0]
            raise SettingsError(
                f"items can't be of the type {self.name}, which pydantic does not know: {reason}"
            ) from error

    def over(self, serializer: Serializer) -> TypedSerializer:
        """A serializer of items of this type, whose records are those of `serializer`."""
        return TypedSerializer(self, serializer)


class TypedSerializer(Serializer):
    """Items of one type, stored as the plain values that another serializer keeps.

    An item is taken apart into dicts, lists, numbers and the like, by the names of its fields. Before these are
    stored, an item is built of them, as `get` will: unless it equals the one that was put, in value and type at every
    level, the put is refused. So whatever a type's own serializers and validators do, what was put comes out.

    Records hold nothing of the type. Whoever opens the queue without one gets the plain values.
    """

    name: ClassVar[str] = "typed"
    safe: ClassVar[bool] = True

    def __init__(self, kind: ItemType, serializer: Serializer) -> None:
        # Meta records the serializer underneath: an instance's attribute, since here it is no class's.
        self.__dict__.update(name=serializer.name, safe=serializer.safe)
        self._type = kind.name
        self._dumps = serializer.dumps
        self._loads = serializer.loads
        self._loads_many = serializer.loads_many
        self._validate = kind.adapter.validator.validate_python
        self._to_python = kind.adapter.serializer.to_python
        self._record = self._in_python if _keeps_python(serializer) else self._in_json
        self._plain = self._exact

    # -- to records ---------------------------------------------------------------------------------------------------

    def dumps(self, item: Any) -> bytes:
        """The record of the item's plain values.

        Raises:
            SerializationError: it is not of the type, or would come out as something else; names the field. Or the
                serializer underneath refuses what it is made of.
        """
        return self._record(item)

    def _in_python(self, item: Any) -> bytes:
        """As it is, if the serializer keeps that, else with what it can't keep made plain."""
        plain = self._checked(item, self._plain)
        if self._plain == self._plainer:
            return self._dumps(plain)
        try:
            return self._dumps(plain)
        except SerializationError:
            record = self._dumps(self._checked(item, self._plainer))
        # The next one will need it, too, and one that does not is left as it is.
        self._plain = self._plainer
        return record

    def _in_json(self, item: Any) -> bytes:
        """As JSON has it, or as it is, if that is what the serializer keeps (raw keeps bytes)."""
        try:
            return self._dumps(self._checked(item, self._json))
        except SerializationError as error:
            first = error
        plain = self._checked(item, self._exact)  # which tells it if the item is at fault, and not the serializer
        try:
            return self._dumps(plain)
        except SerializationError:
            raise SerializationError(f"{first}; {self.name} has no way to say it, msgpack keeps more types") from first

    def _checked(self, item: Any, form: Callable[[Any], Any]) -> Any:
        """The item's plain values, of which the same item comes."""
        try:
            plain = form(item)
            back = self._validate(plain, by_name=True)
            if same(item, back):
                return plain
            found = difference(item, back)
        except ValidationError as error:
            raise SerializationError(f"this {_named(item)} is no {self._type}: {_explained(error)}") from error
        except Exception as error:  # the type's own serializers, validators and `__eq__` raise what they like
            raise SerializationError(f"this {_named(item)} can't be taken apart as {self._type}: {error!r}") from error
        raise SerializationError(
            f"this {_named(item)} would not come back as it is from a queue of {self._type}: {found}"
        )

    def _exact(self, item: Any) -> Any:
        """With dates, bytes and the like as they are."""
        return self._to_python(item, by_alias=False, round_trip=True, warnings=False)

    def _plainer(self, item: Any) -> Any:
        """The same, with enums, paths, URLs … as what pydantic makes them of."""
        return plainer(self._to_python(item, by_alias=False, round_trip=True, warnings=False))

    def _json(self, item: Any) -> Any:
        """With everything as JSON has it."""
        return self._to_python(item, mode="json", by_alias=False, round_trip=True, warnings=False)

    # -- and back -----------------------------------------------------------------------------------------------------

    def loads(self, record: bytes) -> Any:
        """The item of a record, built and validated.

        Raises:
            SerializationError: the record can't be read, or is not of the type (any more); names the field.
        """
        plain = self._loads(record)
        try:
            return self._validate(plain, by_name=True)
        except Exception as error:  # noqa: BLE001  # a validator of the type's raises what it likes
            self._refuse(error)

    def loads_many(self, records: Sequence[bytes]) -> Sequence[Any]:
        """The items of many records, built and validated.

        Raises:
            SerializationError: one of them can't be read, or is not of the type.
        """
        validate = self._validate
        plains = self._loads_many(records)
        try:
            return [validate(plain, by_name=True) for plain in plains]
        except Exception as error:  # noqa: BLE001
            self._refuse(error)

    def _refuse(self, error: Exception) -> NoReturn:
        why = _explained(error) if isinstance(error, ValidationError) else repr(error)
        raise SerializationError(f"what is stored is no {self._type}: {why}") from error


def _keeps_python(serializer: Serializer) -> bool:
    try:
        serializer.dumps(_PROBE)
    except SerializationError:
        return False
    return True


def _is_model(kind: Any) -> bool:
    return isinstance(kind, type) and not getattr(kind, "__args__", ())


def _named(item: Any) -> str:
    return type(item).__qualname__


def _explained(error: ValidationError) -> str:
    """Where and why, but not what: items may hold secrets, and errors end up in logs."""
    found = error.errors(include_url=False, include_context=False, include_input=False)
    texts = [": ".join(filter(None, (".".join(map(str, one["loc"])), one["msg"]))) for one in found[:_TOLD]]
    more = len(found) - _TOLD
    return "; ".join(texts) + (f"; and {more} more" if more > 0 else "")
