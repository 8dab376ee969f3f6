package org.moe4j.tensor;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.Supplier;
import java.util.stream.LongStream;
import java.util.stream.Stream;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

/**
 * Writes safetensors files, one tensor in memory at a time. Values are aligned: the header is
 * padded with spaces to 8 bytes and wider element types come first.
 */
public final class SafetensorsWriter {
  private static final long CHUNK = 1 << 26;

  private SafetensorsWriter() {}

  /**
   * A tensor to write.
   *
   * @param stored its name, type and shape in the file
   * @param pieces make its values, one after another in row-major order, which are converted to
   *     that type; each is called once, when it is written, in a scope that ends right after
   */
  public record Item(StoredTensor stored, List<Supplier<Tensor>> pieces) {
    /** A tensor with its own copy of the list. */
    public Item {
      pieces = List.copyOf(pieces);
    }

    /** A tensor whose values are made at once. */
    public Item(StoredTensor stored, Supplier<Tensor> values) {
      this(stored, List.of(values));
    }

    /** A tensor as it is. */
    public static Item of(String name, Tensor tensor) {
      return of(name, tensor, tensor.dtype());
    }

    /** A tensor that is stored as {@code dtype}. */
    public static Item of(String name, Tensor tensor, DType dtype) {
      List<Long> shape = LongStream.of(tensor.shape()).boxed().toList();
      return new Item(new StoredTensor(name, dtype, shape), () -> tensor);
    }
  }

  /**
   * Writes one file, replacing an old one only when the new one is complete on the disk.
   *
   * @throws MoeException if it cannot be written; an old file is then intact
   */
  public static void writeFile(Path file, List<Item> items, Map<String, String> metadata) {
    List<Item> ordered = ordered(items);
    AtomicFile.write(file, out -> writeTo(out, ordered, metadata));
  }

  /**
   * Writes a checkpoint's weights into a folder: {@code model.safetensors} if they fit into {@code
   * maxShardBytes}, else {@code model-00001-of-0000N.safetensors} ... with {@code
   * model.safetensors.index.json}.
   *
   * <p>If the process dies at any moment the folder holds the old set or the new one, never a
   * mixture: new shards never take the name of a file that is there, the single file or the index
   * is put in place last in one step, and only then are the old set's files deleted.
   *
   * @throws MoeException if something cannot be written; the old set is then intact
   */
  public static void writeFolder(
      Path folder, List<Item> items, Map<String, String> metadata, long maxShardBytes) {
    List<List<Item>> shards = shards(items, maxShardBytes);
    Set<Path> old = weightFiles(folder);
    Path single = folder.resolve(Safetensors.SINGLE_FILE);
    Path index = folder.resolve(Safetensors.INDEX_FILE);
    Set<Path> written = new HashSet<>();
    try {
      if (shards.size() == 1) {
        writeFile(single, shards.get(0), metadata);
        written.add(single);
      } else {
        Map<String, String> shardOf = new LinkedHashMap<>();
        for (int i = 0; i < shards.size(); i++) {
          Path shard = shardPath(folder, i + 1, shards.size());
          written.add(shard);
          writeFile(shard, shards.get(i), metadata);
          shards
              .get(i)
              .forEach(item -> shardOf.put(item.stored().name(), shard.getFileName().toString()));
        }
        long total = items.stream().mapToLong(item -> item.stored().bytes()).sum();
        AtomicFile.write(index, new ShardIndex(shardOf).toJson(total));
        written.add(index);
      }
    } catch (RuntimeException e) {
      written.stream().filter(f -> !old.contains(f)).forEach(AtomicFile::discard);
      throw e;
    }
    deleteOld(old, written, single, index);
  }

  /**
   * Readers prefer the single file to the index and the index to loose shards: so goes the order.
   */
  private static void deleteOld(Set<Path> old, Set<Path> written, Path single, Path index) {
    Stream.concat(Stream.of(single, index), old.stream())
        .filter(f -> old.contains(f) && !written.contains(f))
        .distinct()
        .forEach(AtomicFile::discard);
  }

  private static Path shardPath(Path folder, int number, int count) {
    String of = String.format("-%05d-of-%05d.safetensors", number, count);
    Path path = folder.resolve("model" + of);
    for (int i = 2; Files.exists(path); i++) {
      path = folder.resolve("model-v" + i + of);
    }
    return path;
  }

  private static Set<Path> weightFiles(Path folder) {
    if (!Files.isDirectory(folder)) {
      return Set.of();
    }
    Set<Path> found = new HashSet<>();
    try (Stream<Path> all = Files.list(folder)) {
      all.filter(
              f ->
                  f.getFileName()
                      .toString()
                      .matches(
                          "model(-v\\d+)?(-\\d{5}-of-\\d{5})?\\.safetensors(\\.index\\.json)?"))
          .forEach(found::add);
    } catch (IOException e) {
      throw AtomicFile.failure(folder, e);
    }
    return found;
  }

  private static List<List<Item>> shards(List<Item> items, long maxShardBytes) {
    List<List<Item>> shards = new ArrayList<>();
    List<Item> current = new ArrayList<>();
    long bytes = 0;
    for (Item item : items) {
      long size = item.stored().bytes();
      if (!current.isEmpty() && bytes + size > maxShardBytes) {
        shards.add(current);
        current = new ArrayList<>();
        bytes = 0;
      }
      current.add(item);
      bytes += size;
    }
    shards.add(current);
    return shards;
  }

  private static List<Item> ordered(List<Item> items) {
    Set<String> names = new HashSet<>();
    for (Item item : items) {
      String name = item.stored().name();
      if (!names.add(name) || name.equals(SafetensorsHeader.METADATA)) {
        throw new IllegalArgumentException("tensor " + name + " is given twice or not allowed");
      }
    }
    Comparator<Item> wideFirst = Comparator.comparingInt(item -> -item.stored().dtype().bytes());
    return items.stream().sorted(wideFirst).toList();
  }

  private static void writeTo(FileChannel out, List<Item> items, Map<String, String> metadata)
      throws IOException {
    byte[] json = header(items, metadata);
    int padding = (8 - json.length % 8) % 8;
    ByteBuffer head = ByteBuffer.allocate(8 + json.length + padding).order(ByteOrder.LITTLE_ENDIAN);
    head.putLong((long) json.length + padding).put(json);
    while (head.hasRemaining()) {
      head.put((byte) ' ');
    }
    AtomicFile.writeAll(out, head.flip());
    for (Item item : items) {
      writeValues(out, item);
    }
  }

  private static void writeValues(FileChannel out, Item item) throws IOException {
    StoredTensor stored = item.stored();
    long written = 0;
    for (Supplier<Tensor> piece : item.pieces()) {
      try (Scope scope = Scope.open();
          NoGrad off = NoGrad.open()) {
        Tensor made = piece.get();
        if (item.pieces().size() == 1 && !Arrays.equals(made.shape(), stored.sizes())) {
          throw new IllegalStateException("values of " + stored + " have the shape of " + made);
        }
        written += made.numel();
        write(out, made.detach().to(Device.CPU).to(stored.dtype()).contiguous().segment());
      }
    }
    if (written != stored.elements()) {
      throw new IllegalStateException(written + " elements were made for " + stored);
    }
  }

  private static void write(FileChannel out, MemorySegment bytes) throws IOException {
    for (long done = 0; done < bytes.byteSize(); done += CHUNK) {
      long n = Math.min(CHUNK, bytes.byteSize() - done);
      AtomicFile.writeAll(out, bytes.asSlice(done, n).asByteBuffer());
    }
  }

  private static byte[] header(List<Item> items, Map<String, String> metadata) {
    JsonMapper mapper = new JsonMapper();
    ObjectNode root = mapper.createObjectNode();
    if (!metadata.isEmpty()) {
      ObjectNode strings = root.putObject(SafetensorsHeader.METADATA);
      metadata.forEach(strings::put);
    }
    long at = 0;
    for (Item item : items) {
      StoredTensor t = item.stored();
      ObjectNode entry = root.putObject(t.name());
      entry.put("dtype", t.dtype().label());
      ArrayNode shape = entry.putArray("shape");
      t.shape().forEach(shape::add);
      entry.putArray("data_offsets").add(at).add(at + t.bytes());
      at += t.bytes();
    }
    return mapper.writeValueAsBytes(root);
  }
}
