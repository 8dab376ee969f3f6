package org.moe4j.tensor;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * The header of a safetensors file: after 8 bytes with its length (little-endian), a JSON object
 * that maps tensor names to {@code {dtype, shape, data_offsets}}, offsets counted from its end. As
 * in the format's reference implementation the tensors must cover the rest of the file exactly: no
 * overlap, no hole, nothing behind the last one.
 *
 * @param tensors by name, in the order of their values in the file
 * @param metadata the strings under {@code __metadata__}
 */
record SafetensorsHeader(Map<String, Slot> tensors, Map<String, String> metadata) {
  /** The length that the reference implementation allows. */
  static final long LONGEST = 100_000_000;

  static final String METADATA = "__metadata__";

  /** libtorch's element-wise loops take no more. */
  private static final int MOST_DIMENSIONS = 64;

  /** Where a tensor's values lie: {@code start} counts from the end of the header. */
  record Slot(StoredTensor tensor, long start, long end) {}

  /**
   * Checks and reads a header.
   *
   * @param json the header without its length
   * @param dataBytes how many bytes follow it in the file
   * @param where the file, for messages
   * @throws MoeException if the header or what it claims is wrong
   */
  static SafetensorsHeader parse(byte[] json, long dataBytes, String where) {
    List<Slot> slots = new ArrayList<>();
    Map<String, String> metadata = new LinkedHashMap<>();
    StrictJson.read(
        json,
        where + ": header",
        in -> {
          in.objectStart("the header");
          while (in.nextKey()) {
            String name = in.key();
            if (name.equals(METADATA)) {
              readMetadata(in, metadata);
            } else {
              slots.add(readSlot(in, name));
            }
          }
        });
    return new SafetensorsHeader(covering(slots, dataBytes, where), metadata);
  }

  private static void readMetadata(StrictJson in, Map<String, String> metadata) {
    in.objectStart(METADATA);
    while (in.nextKey()) {
      String key = in.key();
      metadata.put(key, in.string(METADATA + "." + Names.shown(key)));
    }
  }

  private static Slot readSlot(StrictJson in, String name) {
    String what = "tensor " + Names.shown(name);
    List<Long> shape = null;
    List<Long> offsets = null;
    DType dtype = null;
    in.objectStart(what);
    while (in.nextKey()) {
      switch (in.key()) {
        case "dtype" -> dtype = dtype(in, what);
        case "shape" -> shape = naturals(in, what + ": shape", MOST_DIMENSIONS);
        case "data_offsets" -> offsets = naturals(in, what + ": data_offsets", 2);
        default -> throw in.failure(what + " has the unknown field " + Names.shown(in.key()));
      }
    }
    if (shape == null || offsets == null || dtype == null || offsets.size() != 2) {
      throw in.failure(what + " needs dtype, shape and two data_offsets");
    }
    StoredTensor tensor = new StoredTensor(name, dtype, shape);
    long start = offsets.get(0);
    long end = offsets.get(1);
    if (end < start) {
      throw in.failure(what + " ends at " + end + ", before its start " + start);
    }
    if (bytes(in, tensor, what) != end - start) {
      throw in.failure(
          what + ": " + dtype.label() + shape + " does not fill its " + (end - start) + " bytes");
    }
    return new Slot(tensor, start, end);
  }

  private static DType dtype(StrictJson in, String what) {
    String label = in.string(what + ": dtype");
    for (DType d : DType.values()) {
      if (d.label().equals(label)) {
        return d;
      }
    }
    throw in.failure(what + " has the unknown dtype " + Names.shown(label));
  }

  private static List<Long> naturals(StrictJson in, String what, int most) {
    List<Long> values = new ArrayList<>();
    in.arrayStart(what);
    while (in.nextElement()) {
      if (values.size() == most) {
        throw in.failure(what + " has more than " + most + " entries");
      }
      values.add(in.natural(what));
    }
    return values;
  }

  private static long bytes(StrictJson in, StoredTensor tensor, String what) {
    try {
      // Sizes of 0 must not hide an overflow of the others: libtorch multiplies those for strides.
      long product = tensor.dtype().bytes();
      for (long size : tensor.shape()) {
        product = Math.multiplyExact(product, Math.max(size, 1));
      }
      return tensor.bytes();
    } catch (ArithmeticException e) {
      throw in.failure(what + ": the product of its shape " + tensor.shape() + " overflows");
    }
  }

  private static Map<String, Slot> covering(List<Slot> slots, long dataBytes, String where) {
    slots.sort(Comparator.comparingLong(Slot::start).thenComparingLong(Slot::end));
    Map<String, Slot> byName = new LinkedHashMap<>();
    long covered = 0;
    for (Slot s : slots) {
      String what = where + ": tensor " + Names.shown(s.tensor().name());
      if (s.end() > dataBytes) {
        throw new MoeException(
            what
                + " ends at byte "
                + s.end()
                + " of "
                + dataBytes
                + ": the file is cut or damaged");
      }
      if (s.start() != covered) {
        String problem = s.start() < covered ? " overlaps the one before it" : " leaves a hole";
        throw new MoeException(
            what + problem + ": it starts at byte " + s.start() + ", expected " + covered);
      }
      covered = s.end();
      byName.put(s.tensor().name(), s);
    }
    if (covered != dataBytes) {
      throw new MoeException(
          where
              + ": "
              + (dataBytes - covered)
              + " bytes after the last tensor; the file is damaged");
    }
    return byName;
  }
}
