package org.moe4j.engine.gguf;

import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.moe4j.engine.EngineException;

/**
 * The parsed head of one mapped GGUF file.
 *
 * @param metadata its key-value part
 * @param tensors in the file's order, with their bytes
 */
record GgufHeader(Metadata metadata, List<GgufTensor> tensors) {
  private static final int MAGIC = 0x46554747; // "GGUF"
  private static final int MOST_DIMENSIONS = 4;
  private static final long ALIGNMENT = 32;
  private static final int MOST_SHOWN = 80;

  /** A tensor before its bytes are known to be there. */
  private record Entry(String name, int type, long[] shape, long offset) {}

  static GgufHeader read(String file, MemorySegment bytes) {
    Cursor in = new Cursor(file, bytes);
    if (bytes.byteSize() < 4 || in.int32("the magic number") != MAGIC) {
      throw in.failure("is not a GGUF file");
    }
    int version = in.int32("the version");
    if (Integer.reverseBytes(version) > 0 && Integer.reverseBytes(version) < 16) {
      throw in.failure("is a big-endian GGUF file; convert it to little-endian");
    }
    if (version != 2 && version != 3) {
      throw in.failure("is GGUF version " + version + "; versions 2 and 3 can be read");
    }
    // A tensor needs at least name length, dimensions, type and offset; a key length, type, value.
    int tensorCount = in.count(in.int64("the number of tensors"), 24, "tensors");
    int keyCount = in.count(in.int64("the number of keys"), 13, "keys");
    Map<String, Object> values = new LinkedHashMap<>();
    for (int i = 0; i < keyCount; i++) {
      String key = in.text("a key's name");
      if (values.put(key, MetadataValue.read(in, key)) != null) {
        throw in.failure("key " + shown(key) + " occurs twice");
      }
    }
    Metadata metadata = new Metadata(file, values);
    long alignment = metadata.whole("general.alignment").orElse(ALIGNMENT);
    if (alignment < 1 || alignment > 1 << 20 || Long.bitCount(alignment) != 1) {
      throw in.failure("general.alignment is " + alignment + ", expected a power of two");
    }
    List<Entry> entries = new ArrayList<>(tensorCount);
    for (int i = 0; i < tensorCount; i++) {
      entries.add(entry(in));
    }
    long data = Math.ceilDiv(in.position(), alignment) * alignment;
    return new GgufHeader(metadata, tensors(in, bytes, entries, data, alignment));
  }

  private static Entry entry(Cursor in) {
    String name = in.text("a tensor's name");
    int dimensions = in.int32("tensor " + shown(name));
    if (dimensions < 1 || dimensions > MOST_DIMENSIONS) {
      throw in.failure("tensor " + shown(name) + " has " + dimensions + " dimensions");
    }
    long[] shape = new long[dimensions];
    for (int i = 0; i < dimensions; i++) {
      shape[i] = in.int64("the shape of tensor " + shown(name));
      if (shape[i] < 1 || shape[i] > Integer.MAX_VALUE) {
        throw in.failure(
            "tensor " + shown(name) + " has a dimension of " + Long.toUnsignedString(shape[i]));
      }
    }
    return new Entry(name, in.int32("tensor " + shown(name)), shape, in.int64("an offset"));
  }

  private static List<GgufTensor> tensors(
      Cursor in, MemorySegment bytes, List<Entry> entries, long data, long alignment) {
    List<GgufTensor> tensors = new ArrayList<>();
    List<long[]> ranges = new ArrayList<>();
    Set<String> names = new HashSet<>();
    long space = bytes.byteSize() - data;
    for (Entry e : entries) {
      String name = "tensor " + shown(e.name);
      if (!names.add(e.name)) {
        throw in.failure(name + " occurs twice");
      }
      GgmlType type = type(in, name, e.type);
      long size = size(in, name, type, e.shape);
      if (e.offset < 0 || e.offset % alignment != 0) {
        throw in.failure(name + " begins at " + e.offset + ", not at a multiple of " + alignment);
      }
      if (size > space || e.offset > space - size) {
        throw in.failure(
            name
                + " needs "
                + size
                + " bytes at "
                + e.offset
                + ", the file has "
                + Math.max(0, space)
                + "; it is cut off or damaged");
      }
      ranges.add(new long[] {e.offset, e.offset + size});
      tensors.add(new GgufTensor(e.name, type, e.shape, bytes.asSlice(data + e.offset, size)));
    }
    ranges.sort(Comparator.comparingLong(r -> r[0]));
    for (int i = 1; i < ranges.size(); i++) {
      if (ranges.get(i)[0] < ranges.get(i - 1)[1]) {
        throw in.failure("two tensors overlap at " + ranges.get(i)[0] + "; the file is damaged");
      }
    }
    return tensors;
  }

  private static GgmlType type(Cursor in, String tensor, int id) {
    for (GgmlType t : GgmlType.values()) {
      if (t.id() == id) {
        return t;
      }
    }
    throw in.failure(
        tensor + " is of type " + id + ", which is not known; known: " + GgmlType.known());
  }

  private static long size(Cursor in, String tensor, GgmlType type, long[] shape) {
    if (shape[0] % type.block() != 0) {
      throw in.failure(
          tensor
              + " has rows of "
              + shape[0]
              + " numbers, which "
              + type.label()
              + " cannot store in blocks of "
              + type.block());
    }
    try {
      long elements = 1;
      for (long n : shape) {
        elements = Math.multiplyExact(elements, n);
      }
      return type.bytes(elements);
    } catch (ArithmeticException e) {
      throw new EngineException(
          in.failure(tensor + " states a size beyond all memory").getMessage(), e);
    }
  }

  /** A name from a file, fit for one line. */
  static String shown(String name) {
    String line = name.replaceAll("\\p{Cntrl}", "?");
    return line.length() <= MOST_SHOWN ? line : line.substring(0, MOST_SHOWN) + "...";
  }
}
