"""Reading and writing several bytes at once, as numba intrinsics.

All accesses may be unaligned and may look past the last document, which is what `corpus.io.buffers.PADDING` is for.
"""

from typing import Any

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic


def pointer(context: Any, builder: Any, array_type: Any, array: Any, index: Any, kind: Any) -> Any:
    """LLVM for a pointer to a `kind` at element `index` of an array."""
    data = context.make_array(array_type)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [index]), kind.as_pointer())


def load(context: Any, builder: Any, array_type: Any, array: Any, index: Any, kind: Any) -> Any:
    """LLVM for one unaligned load of `kind` at element `index` of an array."""
    value = builder.load(pointer(context, builder, array_type, array, index, kind))
    value.align = 1
    return value


@intrinsic
def load64(typingctx: Any, data: Any, index: Any) -> Any:
    """`load64(data, index)`: the 8 bytes at `data[index:]` as a little-endian uint64."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        at = context.cast(builder, args[1], signature.args[1], types.intp)
        return load(context, builder, signature.args[0], args[0], at, ir.IntType(64))

    return types.uint64(data, index), codegen


@intrinsic
def store64(typingctx: Any, data: Any, index: Any, value: Any) -> Any:
    """`store64(data, index, value)`: write a uint64 to the 8 bytes at `data[index:]`, little-endian."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        at = context.cast(builder, args[1], signature.args[1], types.intp)
        to = pointer(context, builder, signature.args[0], args[0], at, ir.IntType(64))
        builder.store(args[2], to).align = 1
        return context.get_dummy_value()

    return types.void(data, index, types.uint64), codegen


@intrinsic
def prefetch(typingctx: Any, array: Any, index: Any) -> Any:
    """`prefetch(array, index)`: ask for the cache line of `array[index]`, which will be written to."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        at = context.cast(builder, args[1], signature.args[1], types.intp)
        line = pointer(context, builder, signature.args[0], args[0], at, ir.IntType(8))
        number = ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [line.type, number, number, number])
        function = builder.module.declare_intrinsic("llvm.prefetch", (line.type,), kind)
        builder.call(function, [line, number(1), number(3), number(1)])  # to write, keep it near, data
        return context.get_dummy_value()

    return types.void(array, index), codegen
