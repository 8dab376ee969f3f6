package org.moe4j.engine.plan;

import java.lang.foreign.Arena;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.SortedMap;
import java.util.TreeMap;
import org.moe4j.engine.EngineOptions;
import org.moe4j.engine.cache.PageLayout;
import org.moe4j.engine.gguf.GgufFile;
import org.moe4j.engine.gguf.GgufTensor;
import org.moe4j.engine.kernel.Matrix;
import org.moe4j.engine.kernel.Packing;
import org.moe4j.engine.model.AttentionShape;
import org.moe4j.engine.model.Shape;
import org.moe4j.engine.offload.ExpertStore;

/**
 * What the parts of a model take, from its header alone.
 *
 * @param stored bytes in the file by role
 * @param packed bytes in memory by role if all is there
 * @param storedExperts for each layer that routes, bytes on disk of one of its experts
 * @param packedExperts the same in memory
 * @param read bytes that a thread needs to read from disk
 * @param pages of keys and values
 * @param scratch bytes that a step computes with
 */
record Footprint(
    Shape shape,
    Map<Role, Long> stored,
    Map<Role, Long> packed,
    SortedMap<Integer, Long> storedExperts,
    SortedMap<Integer, Long> packedExperts,
    long read,
    PageLayout pages,
    long scratch) {
  /** Of activations, a number: as a float, as a code, as half of a pair, and scales. */
  private static final int ACTIVATION = 11;

  static Footprint of(GgufFile file, EngineOptions options) {
    Shape shape = Shape.of(file);
    Packing packing = new Packing(Arena.ofAuto(), options.exact());
    Map<Role, Long> stored = new EnumMap<>(Role.class);
    Map<Role, Long> packed = new EnumMap<>(Role.class);
    SortedMap<Integer, Long> storedExperts = new TreeMap<>();
    SortedMap<Integer, Long> packedExperts = new TreeMap<>();
    long read = 0;
    for (GgufTensor t : file.tensors()) {
      Role role = Role.of(t.name());
      stored.merge(role, t.data().byteSize(), Long::sum);
      int layer = layer(t.name());
      if (layer < shape.layers()) {
        long bytes = packed(t, role, packing);
        packed.merge(role, bytes, Long::sum);
        if (role == Role.ROUTED) {
          long count = t.shape()[t.shape().length - 1];
          read = Math.max(read, ExpertStore.staging(t.data().byteSize() / count));
          storedExperts.merge(layer, t.data().byteSize() / count, Long::sum);
          packedExperts.merge(layer, bytes / count, Long::sum);
        }
      }
    }
    if (file.find("output.weight").isEmpty()) {
      packed.put(Role.OUTPUT, matrices(file.tensor("token_embd.weight"), packing));
    }
    return new Footprint(
        shape,
        stored,
        packed,
        storedExperts,
        packedExperts,
        read,
        shape.pages(options.cacheType()),
        scratch(shape, options));
  }

  /** Which layer a tensor belongs to; -1 if to none. */
  private static int layer(String tensor) {
    String[] parts = tensor.split("\\.", 3);
    return parts[0].equals("blk") && parts.length == 3 ? Integer.parseInt(parts[1]) : -1;
  }

  /** The embedding is looked up in the file, row by row. */
  private static long packed(GgufTensor t, Role role, Packing packing) {
    if (role == Role.EMBEDDING) {
      return 0;
    }
    boolean vector = t.rows() == 1 || role == Role.REST || !t.name().endsWith(".weight");
    return vector ? t.elements() * Float.BYTES : matrices(t, packing);
  }

  private static long matrices(GgufTensor t, Packing packing) {
    int rows = Math.toIntExact(t.shape()[1]);
    return t.rows() / rows * packing.bytes(t.type(), rows, t.columns());
  }

  private static long scratch(Shape shape, EngineOptions options) {
    AttentionShape a = shape.attention();
    long n = Math.min(options.batch(), shape.context());
    long used = Math.max(1, shape.mixture().used());
    long hidden = Math.max(shape.hidden(), used * shape.mixture().hidden());
    long queries = (long) a.heads() * Math.max(a.keySize(), a.valueSize());
    long token =
        (long) shape.width() * (ACTIVATION + 2 * Float.BYTES)
            + queries * (ACTIVATION + Float.BYTES)
            + ((long) a.keyWidth() + a.valueWidth()) * Float.BYTES
            + used * shape.width() * Float.BYTES
            + hidden * ACTIVATION
            + 2 * used * options.threads() * Matrix.PANEL * Float.BYTES;
    return n * token + 4L * shape.vocabulary() * Float.BYTES;
  }

  List<RoleBytes> roles(long routed) {
    List<RoleBytes> all = new ArrayList<>();
    for (Role role : Role.values()) {
      long packedBytes = packed.getOrDefault(role, 0L);
      if (stored.containsKey(role) || packedBytes > 0) {
        long resident = role == Role.ROUTED ? routed : packedBytes;
        all.add(new RoleBytes(role, stored.getOrDefault(role, 0L), packedBytes, resident));
      }
    }
    return all;
  }

  /** Bytes in memory of all but routed experts. */
  long trunk() {
    return packed.entrySet().stream()
        .filter(e -> e.getKey() != Role.ROUTED)
        .mapToLong(Map.Entry::getValue)
        .sum();
  }
}
