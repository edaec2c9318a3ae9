"""Columns of files as they are found: texts that may be none, ids that are numbers, dates that Python cannot hold."""

from typing import Any, TypeAlias

import pyarrow as pa

Column: TypeAlias = "pa.ChunkedArray | list[Any]"


def valid_texts(values: Column) -> pa.ChunkedArray | None:
    """A column of texts as large_string, or None where one of its values is no text."""
    if not isinstance(values, pa.ChunkedArray) or values.null_count or not _holds_text(values.type):
        return None
    texts = values.cast(pa.large_string())
    try:
        texts.validate(full=True)
    except pa.ArrowInvalid:
        return None
    return texts


def encoded_texts(values: list[str]) -> pa.Array:
    """Texts as large_string; as large_binary where one holds a lone surrogate, which then has three bytes."""
    encoded = pa.array([text.encode("utf-8", "surrogatepass") for text in values], pa.large_binary())
    try:
        return encoded.cast(pa.large_string())
    except pa.ArrowInvalid:
        return encoded


def _holds_text(kind: pa.DataType) -> bool:
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def strings_of(values: Column) -> pa.Array | pa.ChunkedArray:
    """A column as strings: numbers as Python writes them, dates by ISO 8601."""
    if isinstance(values, pa.ChunkedArray) and (_holds_text(values.type) or pa.types.is_integer(values.type)):
        try:
            strings = values.cast(pa.string())
            strings.validate(full=True)
            return strings
        except pa.ArrowInvalid:
            pass
    return pa.array([None if value is None else _string(value) for value in listed(values)], pa.string())


def _string(value: Any) -> str:
    return _replaced(value.isoformat() if hasattr(value, "isoformat") else str(value))


def _replaced(text: str) -> str:
    """The text with U+FFFD for each lone surrogate."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def listed(values: Column) -> list[Any]:
    """A column as a list of what Python has for its values."""
    return to_python(values) if isinstance(values, pa.ChunkedArray) else values


def type_of(value: Any) -> str:
    """What a value is that should be a text, for messages."""
    return "nothing" if value is None else "no UTF-8" if isinstance(value, bytes) else type(value).__name__


def utf8_texts(texts: pa.ChunkedArray) -> pa.ChunkedArray:
    """The texts of a batch as large_string; a lone surrogate becomes U+FFFD."""
    if pa.types.is_large_string(texts.type):
        return texts
    whole = [_replaced(text.decode("utf-8", "surrogatepass")) for text in texts.to_pylist()]
    return pa.chunked_array([pa.array(whole, pa.large_string())])


def to_python(column: pa.Array | pa.ChunkedArray) -> list[Any]:
    """The values of a column: times to the microsecond, as Python's are, and None for one that Python's cannot hold; of
    a text that is no UTF-8 its bytes."""
    if pa.types.is_timestamp(column.type) and column.type.unit == "ns":
        column = column.cast(pa.timestamp("us", column.type.tz), safe=False)
    try:
        return list(column.to_pylist())
    except (ValueError, OverflowError):
        return [_value(scalar) for scalar in column]


def _value(scalar: pa.Scalar) -> Any:
    try:
        return scalar.as_py()
    except UnicodeDecodeError:
        return scalar.as_buffer().to_pybytes()
    except (ValueError, OverflowError):
        return None
