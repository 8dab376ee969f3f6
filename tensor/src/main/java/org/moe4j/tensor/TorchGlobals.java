package org.moe4j.tensor;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.moe4j.tensor.PickleValue.Dict;
import org.moe4j.tensor.PickleValue.Int;
import org.moe4j.tensor.PickleValue.Text;
import org.moe4j.tensor.PickleValue.Tuple;

/**
 * The names that a state dict's pickle needs: {@code collections.OrderedDict}, {@code torch.Size},
 * storage types, element types, and the functions of {@code torch._utils} that rebuild dense
 * tensors and parameters. Every other name is refused; nothing is ever imported or run.
 */
final class TorchGlobals implements PickleReader.Globals {
  private static final Map<String, DType> STORAGES =
      Map.ofEntries(
          Map.entry("DoubleStorage", DType.F64),
          Map.entry("FloatStorage", DType.F32),
          Map.entry("HalfStorage", DType.F16),
          Map.entry("BFloat16Storage", DType.BF16),
          Map.entry("LongStorage", DType.I64),
          Map.entry("IntStorage", DType.I32),
          Map.entry("ShortStorage", DType.I16),
          Map.entry("CharStorage", DType.I8),
          Map.entry("ByteStorage", DType.U8),
          Map.entry("BoolStorage", DType.BOOL));

  private static final Map<String, DType> ELEMENTS =
      Map.ofEntries(
          Map.entry("float64", DType.F64),
          Map.entry("float32", DType.F32),
          Map.entry("float16", DType.F16),
          Map.entry("bfloat16", DType.BF16),
          Map.entry("float8_e4m3fn", DType.F8_E4M3),
          Map.entry("int64", DType.I64),
          Map.entry("int32", DType.I32),
          Map.entry("int16", DType.I16),
          Map.entry("int8", DType.I8),
          Map.entry("uint8", DType.U8),
          Map.entry("bool", DType.BOOL));

  private enum Function implements PickleValue.Named {
    ORDERED_DICT,
    SIZE,
    REBUILD_TENSOR,
    REBUILD_TENSOR_OF_DTYPE,
    REBUILD_PARAMETER
  }

  /** An element type, as {@code torch.float32}. */
  private record Element(DType dtype) implements PickleValue.Named {}

  /** The type of a storage; an UntypedStorage has bytes, and its tensors tell their own type. */
  private record StorageType(Optional<DType> dtype) implements PickleValue.Named {}

  /** A storage of the file: its entry's name under {@code data/} and its length in elements. */
  record Storage(String key, Optional<DType> dtype, long elements) implements PickleValue.Named {
    /** The width of one element in bytes. */
    int width() {
      return dtype.map(DType::bytes).orElse(1);
    }
  }

  /** A tensor as the pickle tells it, unchecked; offset and strides count elements. */
  record View(Storage storage, DType dtype, long offset, List<Long> shape, List<Long> strides)
      implements PickleValue.Named {}

  private final String where;

  TorchGlobals(String where) {
    this.where = where;
  }

  @Override
  public PickleValue global(String module, String name) {
    return switch (module) {
      case "collections" ->
          name.equals("OrderedDict") ? Function.ORDERED_DICT : foreign(module, name);
      case "torch._utils" ->
          switch (name) {
            case "_rebuild_tensor_v2" -> Function.REBUILD_TENSOR;
            case "_rebuild_tensor_v3" -> Function.REBUILD_TENSOR_OF_DTYPE;
            case "_rebuild_parameter" -> Function.REBUILD_PARAMETER;
            default -> foreign(module, name);
          };
      case "torch", "torch.storage" -> torch(module, name);
      default -> foreign(module, name);
    };
  }

  private PickleValue torch(String module, String name) {
    if (name.equals("UntypedStorage")) {
      return new StorageType(Optional.empty());
    }
    if (name.equals("Size")) {
      return Function.SIZE;
    }
    if (STORAGES.containsKey(name)) {
      return new StorageType(Optional.of(STORAGES.get(name)));
    }
    if (ELEMENTS.containsKey(name)) {
      return new Element(ELEMENTS.get(name));
    }
    return foreign(module, name);
  }

  private PickleValue foreign(String module, String name) {
    throw new MoeException(
        where
            + ": names "
            + Names.shown(module + "." + name)
            + ", which no plain state dict needs; refused, nothing was run");
  }

  @Override
  public PickleValue call(PickleValue function, List<PickleValue> args) {
    if (!(function instanceof Function known)) {
      throw failure("it calls what is no function");
    }
    return switch (known) {
      case ORDERED_DICT -> {
        if (!args.isEmpty()) {
          throw failure("an OrderedDict made with arguments");
        }
        yield new Dict(new LinkedHashMap<>());
      }
      case SIZE -> {
        if (args.size() == 1 && args.getFirst() instanceof Tuple sizes) {
          yield sizes;
        }
        throw failure("a torch.Size without its sizes");
      }
      case REBUILD_TENSOR -> tensor(args, false);
      case REBUILD_TENSOR_OF_DTYPE -> tensor(args, true);
      case REBUILD_PARAMETER -> {
        if (args.size() == 3 && args.getFirst() instanceof View tensor) {
          yield tensor;
        }
        throw failure("a parameter without its tensor");
      }
    };
  }

  /** Arguments: storage, offset, sizes, strides, requires_grad, hooks, dtype if told, metadata. */
  private View tensor(List<PickleValue> args, boolean dtypeTold) {
    int most = dtypeTold ? 8 : 7;
    if (args.size() < most - 1 || args.size() > most) {
      throw failure("a tensor with " + args.size() + " arguments");
    }
    if (args.size() == most && args.getLast() instanceof Dict bits && !bits.entries().isEmpty()) {
      throw failure("a tensor that is conjugated or negated when read; save a clone of it");
    }
    if (args.get(0) instanceof Storage storage
        && args.get(1) instanceof Int offset
        && args.get(2) instanceof Tuple sizes
        && args.get(3) instanceof Tuple strides) {
      Optional<DType> dtype = storage.dtype();
      if (dtypeTold) {
        dtype = args.get(6) instanceof Element e ? Optional.of(e.dtype()) : Optional.empty();
      }
      return new View(
          storage,
          dtype.orElseThrow(() -> failure("a tensor without an element type")),
          offset.value(),
          integers(sizes),
          integers(strides));
    }
    throw failure("a tensor without storage, offset, sizes and strides");
  }

  private List<Long> integers(Tuple tuple) {
    List<Long> values = new ArrayList<>(tuple.items().size());
    for (PickleValue item : tuple.items()) {
      if (!(item instanceof Int n)) {
        throw failure("a size or stride that is no integer");
      }
      values.add(n.value());
    }
    return List.copyOf(values);
  }

  @Override
  public PickleValue persistent(PickleValue id) {
    if (id instanceof Tuple(List<PickleValue> parts)
        && parts.size() == 5
        && parts.get(0) instanceof Text(String kind)
        && kind.equals("storage")
        && parts.get(1) instanceof StorageType(Optional<DType> dtype)
        && parts.get(2) instanceof Text(String key)
        && parts.get(4) instanceof Int(long elements)) {
      return new Storage(key, dtype, elements);
    }
    throw failure("a persistent id that is no storage");
  }

  private MoeException failure(String problem) {
    return new MoeException(where + ": not a sound state dict: " + problem);
  }
}
