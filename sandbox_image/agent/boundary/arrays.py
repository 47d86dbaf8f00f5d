"""Arrays of NumPy and tensors of PyTorch as plain values: type, shape and bytes.

Both sides import this, and neither imports a library for it: what writes is asked only where that is loaded, what reads loads it
for a value that was sent, and not before all of that looks like one.

Left out: gradients. `gradients.py` has those.
"""

from __future__ import annotations

import math
import re
import sys
from typing import Any

from .values import MAX_FRAME, MAX_NODES, WRITE, Garbled, Reader, TooLarge, Writer, add_reader, add_writer, library

_DTYPE = re.compile(r"[<>=|]?(?:[biufcUS]\d{0,9}|[Mm]8(?:\[(?:[1-9]\d{0,5})?(?:Y|M|W|D|h|m|s|ms|us|μs|ns|ps|fs|as)\])?)")
"""Types whose values NumPy can handle, whatever they are: a count of 0 in a unit of time ends the process at a division."""


_OF_A_CLASS = b"0"
"""Stands before an array or a tensor of a class below NumPy's or PyTorch's own."""
LAYOUT = re.compile(
    r"strid|contiguous|\.flags\b|\.view\(|\bndarray\.base|owndata|OWNDATA|\border=|writeable|as_strided|isfortran|nditer"
    r"|[\"'][AKF][\"']|memoryview|\.shape\s*=[^=]|(?:ravel|reshape|flatten)\([^()]*\)\s*\[[^\]]*\]\s*[-+*/]?=[^=]"
)
"""What speaks of how an array lies in memory: items cross in the order of their places, whatever that is."""
UNSEEN = re.compile(r"\b_version\b|storage_offset|untyped_storage|_is_view\b|_nnz\b|coalesce")
"""What a tensor has that does not cross at all."""


def _put_numpy(writer: Writer, value: Any, np: Any) -> bool:
    kind = type(value)
    if issubclass(kind, np.ndarray):
        if kind is np.ndarray and value.dtype.kind == "O":
            writer.out += b"%"
            writer.put_apart(tuple(map(int, value.shape)))
            WRITE[list](writer, list(value.flat))
            return True
        if value.dtype.kind not in "biufcUSMm":
            return False
        if issubclass(kind, np.ma.MaskedArray):
            if value is np.ma.masked:
                writer.out += b"9"
                return True
            fill = getattr(value, "_fill_value", None)  # to ask for it by its name would set it
            mask = value._mask
            writer.out += b"M"
            writer.put_apart(np.array(np.ndarray.view(value, np.ndarray)))
            writer.put_apart(None if mask is np.ma.nomask else np.array(mask))
            writer.put_apart(None if fill is None else np.array(fill))
            WRITE[bool](writer, bool(value.hardmask))
            return True
        array = np.ndarray.view(value, np.ndarray)
        by_columns = array.flags.fnc  # and not by rows, as what has one dimension is too
        writer.out += b"a" if kind is np.ndarray else _OF_A_CLASS + b"a"
        WRITE[bool](writer, bool(value.flags.writeable))
        WRITE[bool](writer, by_columns)
        WRITE[str](writer, array.dtype.str)
        writer.put(tuple(map(int, array.shape)))
        WRITE[bytes](writer, array.tobytes("F" if by_columns else "C"))
    elif issubclass(kind, np.generic):
        if value.dtype.kind not in "biufcUSMm":
            return False
        writer.out += b"g"
        WRITE[str](writer, value.dtype.str)
        WRITE[bytes](writer, np.array(value).tobytes())
    elif issubclass(kind, np.dtype):
        if value.hasobject or value.fields or value.subdtype:
            return False
        writer.out += b"u"
        WRITE[str](writer, value.str)
    else:
        return False
    return True


def _put_torch(writer: Writer, value: Any, torch: Any) -> bool:
    kind = type(value)
    if issubclass(kind, torch.Tensor):
        if not is_plain_tensor(value):
            return False
        put_class(writer, kind, torch)
        put_tensor(writer, value, torch)
    elif kind is torch.dtype:
        writer.out += b"y"
        WRITE[str](writer, str(value).removeprefix("torch."))
    elif kind is torch.device:
        writer.out += b"z"
        WRITE[str](writer, str(value))
    elif kind is torch.Size:
        WRITE[tuple](writer, tuple(value))
    else:
        return False
    return True


def is_plain_tensor(value: Any) -> bool:
    """Whether a tensor is one of numbers, and not quantized."""
    return str(value.dtype).removeprefix("torch.") in _TORCH_SIZES


def put_class(writer: Writer, kind: type, torch: Any) -> None:
    """What stands before a tensor of this class, if that is below PyTorch's own."""
    if kind not in (torch.Tensor, torch.nn.Parameter):
        writer.out += _OF_A_CLASS


def put_tensor(writer: Writer, value: Any, torch: Any) -> None:
    """A tensor's dtype, shape, device, whether it asks for gradients, and bytes."""
    with torch.no_grad():
        if value.layout is torch.sparse_coo:
            tensor = value.detach().coalesce().cpu()
            writer.out += b"P"
            writer.put(tuple(map(int, tensor.shape)))
            put_tensor(writer, tensor.indices(), torch)
            put_tensor(writer, tensor.values(), torch)
            return
        tensor = value.detach().to_dense() if value.layout is not torch.strided else torch.Tensor.detach(value)
        tensor = tensor.as_subclass(torch.Tensor)
        tensor = tensor.resolve_conj().resolve_neg().cpu().contiguous()
        writer.out += b"m"
        WRITE[str](writer, str(tensor.dtype).removeprefix("torch."))
        WRITE[str](writer, value.device.type)
        WRITE[bool](writer, bool(value.requires_grad))
        writer.put(tuple(map(int, tensor.shape)))
        size = tensor.numel() * tensor.element_size()
        if size > MAX_FRAME:
            raise TooLarge(f"a tensor of more than {MAX_FRAME >> 20} MiB")
        # A clone, for the only item of an expanded tensor may have a stride of none.
        data = (
            tensor.clone(memory_format=torch.contiguous_format).reshape(-1).view(torch.uint8)
            if size
            else tensor.new_empty(0, dtype=torch.uint8)
        )
        numpy = sys.modules.get("numpy")
        WRITE[bytes](writer, data.numpy().tobytes() if numpy is not None else bytes(data.untyped_storage())[-size or size :])


def _dtype(reader: Reader) -> Any:
    text = _dtype_name(reader)
    return library("numpy").dtype(text)


def _dtype_name(reader: Reader) -> str:
    text = reader.name()
    if not _DTYPE.fullmatch(text):
        raise Garbled("a dtype that is none")
    return text


def _array(reader: Reader, text: str, shape: tuple[Any, ...], *, by_columns: bool = False) -> Any:
    data = reader.expect(bytes)
    np = library("numpy")  # not before all that was sent looks like an array
    dtype = np.dtype(text)
    if not dtype.itemsize:
        if (shape and min(shape) == 0) or math.prod(shape) <= MAX_NODES:
            return np.empty(shape, dtype)
        raise Garbled("an array that is too large")
    array = np.frombuffer(data, np.uint8) != 0 if dtype.kind == "b" else np.frombuffer(data, dtype)
    if dtype.kind == "U" and (np.frombuffer(data, np.dtype(np.uint32).newbyteorder(dtype.byteorder)) > 0x10FFFF).any():
        raise Garbled("characters that are none")
    return array.reshape(shape[::-1]).T.copy("F") if by_columns else array.reshape(shape).copy()


def _shape(reader: Reader) -> tuple[int, ...]:
    shape: tuple[int, ...] = reader.expect(tuple)
    if len(shape) > 32 or not all(type(size) is int and 0 <= size <= MAX_FRAME for size in shape):
        raise Garbled("a shape that is none")
    return shape


def _read_array(reader: Reader) -> Any:
    writeable, by_columns, text = reader.expect(bool), reader.expect(bool), _dtype_name(reader)
    array = reader.array(_array(reader, text, _shape(reader), by_columns=by_columns))
    if not array.size:
        reader.empty(array)
    array.flags.writeable = writeable
    return array


def _read_of_a_class(reader: Reader) -> Any:
    """An array or a tensor of a class below NumPy's or PyTorch's own, without what that adds."""
    if reader.data[reader.pos] not in b"amP":
        raise Garbled("a class of something else")
    reader.stripped()
    return reader.take()


def objects(items: list[Any]) -> Any:
    """An array of one dimension that holds these, whatever they are."""
    made = library("numpy").empty(len(items), dtype=object)
    for place, item in enumerate(items):
        made[place] = item
    return made


def _read_objects(reader: Reader) -> Any:
    shape = _shape(reader)
    items = reader.expect(list)
    if math.prod(shape) != len(items):
        raise Garbled("an array of another size than its items")
    array = objects(items).reshape(shape)
    if not items:
        reader.empty(array)
    return array


def _read_masked(reader: Reader) -> Any:
    np = library("numpy")
    data, mask = reader.expect(np.ndarray), reader.expect(np.ndarray, type(None))
    fill, hard = reader.expect(np.ndarray, type(None)), reader.expect(bool)
    if mask is not None and (data.shape != mask.shape or mask.dtype != bool):
        raise Garbled("a mask that does not fit")
    if fill is not None and (fill.shape or fill.dtype != data.dtype):
        raise Garbled("a value of another kind for what is masked")
    return reader.masked(np.ma.MaskedArray(data, np.ma.nomask if mask is None else mask, fill_value=fill, hard_mask=hard))


def _read_sparse(reader: Reader) -> Any:
    shape = _shape(reader)
    torch = library("torch")
    indices, items = reader.expect(torch.Tensor), reader.expect(torch.Tensor)
    if math.prod(shape) > MAX_FRAME:
        raise Garbled("a sparse tensor that would be too large")
    if indices.dtype != torch.int64 or indices.dim() != 2 or not 0 < indices.shape[0] <= len(shape):
        raise Garbled("a sparse tensor that is none")
    if indices.shape[1] != (items.shape[0] if items.dim() else -1) or tuple(items.shape[1:]) != shape[indices.shape[0] :]:
        raise Garbled("a sparse tensor with values of another number")
    # The check is of places beyond the shape, which would be read from beyond its memory.
    return torch.sparse_coo_tensor(indices, items, shape, check_invariants=True).coalesce()


def _read_scalar(reader: Reader) -> Any:
    return reader.array(_array(reader, _dtype_name(reader), ())[()])


_TORCH_SIZES = {
    **dict.fromkeys(("bool", "uint8", "int8", "float8_e4m3fn", "float8_e5m2"), 1),
    **dict.fromkeys(("int16", "uint16", "float16", "bfloat16"), 2),
    **dict.fromkeys(("int32", "uint32", "float32", "complex32"), 4),
    **dict.fromkeys(("int64", "uint64", "float64", "complex64"), 8),
    "complex128": 16,
}
"""Bytes of one item by the name of its type."""


def _torch_name(reader: Reader) -> str:
    name = reader.name()
    if name not in _TORCH_SIZES:
        raise Garbled("a dtype that is none")
    return name


_DEVICE = re.compile(r"(?:cpu|cuda|meta|mps)(?::\d{1,3})?")


def _device_name(reader: Reader) -> str:
    name = reader.name()
    if not _DEVICE.fullmatch(name):
        raise Garbled("a device that is none")
    return name


def read_tensor(reader: Reader) -> tuple[Any, bool]:
    """A tensor without gradients, and whether the other side's asks for them."""
    name, device, graded, shape = _torch_name(reader), _device_name(reader), reader.expect(bool), _shape(reader)
    data = reader.expect(bytes)
    if math.prod(shape) * _TORCH_SIZES[name] != len(data):
        raise Garbled("a tensor of another size than its bytes")
    torch = library("torch")  # not before all that was sent looks like a tensor
    dtype = getattr(torch, name)
    if not data:
        tensor = torch.empty(0, dtype=dtype)
    elif name == "bool":
        tensor = torch.frombuffer(bytearray(data), dtype=torch.uint8) != 0
    else:
        tensor = torch.frombuffer(bytearray(data), dtype=torch.uint8).view(dtype)
    tensor = tensor.reshape(shape)
    if device.startswith("cuda") and torch.cuda.is_available():
        tensor = tensor.to(device)
    return tensor, graded


def _read_tensor(reader: Reader) -> Any:
    tensor, graded = read_tensor(reader)
    tensor = reader.array(tensor)
    if not tensor.numel():
        reader.empty(tensor)
    return tensor.requires_grad_() if graded and (tensor.is_floating_point() or tensor.is_complex()) else tensor


add_writer("numpy", _put_numpy)
add_writer("torch", _put_torch)
add_reader(b"a", _read_array, can_change=True)
add_reader(b"%", _read_objects, can_change=True)
add_reader(b"M", _read_masked, can_change=True)
add_reader(b"9", lambda reader: reader.masked(library("numpy").ma.masked))
add_reader(b"g", _read_scalar)
add_reader(b"u", _dtype)
add_reader(b"P", _read_sparse, can_change=True)
add_reader(b"m", _read_tensor, can_change=True)
add_reader(_OF_A_CLASS, _read_of_a_class)
add_reader(b"y", lambda reader: getattr(library("torch"), _torch_name(reader)))
add_reader(b"z", lambda reader: library("torch").device(_device_name(reader)))
