package org.moe4j.engine.gguf;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.util.List;
import java.util.Map;
import java.util.function.LongConsumer;
import java.util.stream.IntStream;
import org.moe4j.engine.EngineException;

/**
 * Writes GGUF files, version 3, little-endian. Rows are asked for one at a time and a few megabytes
 * of them quantised on all threads at once, so a model of any size is written in little memory; the
 * file appears whole or not at all.
 */
public final class GgufWriter {
  private static final int ALIGNMENT = 32;

  /** Numbers that are quantised at once. */
  private static final int BATCH = 1 << 20;

  /** Gives the rows of a tensor, asked for in order. */
  @FunctionalInterface
  public interface Rows {
    /** Fills {@code into} with row {@code row} of all stacked matrices. */
    void read(long row, float[] into);
  }

  /** Gives the rows of a tensor in its type's own blocks, asked for in order. */
  @FunctionalInterface
  public interface StoredRows {
    /** Fills {@code into} with the bytes of row {@code row} of all stacked matrices. */
    void read(long row, byte[] into);
  }

  /** What a tensor holds. */
  public sealed interface Content {
    /** Numbers, to be put into the type's blocks. */
    record Numbers(Rows rows) implements Content {}

    /** Blocks as they are; any type. */
    record Blocks(StoredRows rows) implements Content {}
  }

  /**
   * A tensor to be written.
   *
   * @param type of numbers one of {@link Quantise#TYPES}
   * @param shape sizes, the fastest-running dimension first
   * @param content its rows
   */
  @SuppressWarnings("ArrayRecordComponent") // handed over, never compared
  public record Item(String name, GgmlType type, long[] shape, Content content) {
    /** A tensor of numbers. */
    public Item(String name, GgmlType type, long[] shape, Rows rows) {
      this(name, type, shape, new Content.Numbers(rows));
    }

    private long rowCount() {
      long rows = 1;
      for (int i = 1; i < shape.length; i++) {
        rows = Math.multiplyExact(rows, shape[i]);
      }
      return rows;
    }

    /** Bytes in the file, without padding. */
    public long bytes() {
      return Math.multiplyExact(type.bytes(shape[0]), rowCount());
    }
  }

  private GgufWriter() {}

  /**
   * Writes {@code file}.
   *
   * @param metadata Long (u32 where it fits, else i64), Double (f32), Boolean, String, and lists as
   *     long[] (i32), double[] (f32), boolean[], String[]
   * @param progress told of the bytes of tensors written so far
   * @throws EngineException if the file cannot be written or a tensor not be stored
   */
  public static void write(
      Path file, Map<String, Object> metadata, List<Item> items, LongConsumer progress) {
    Path whole = file.toAbsolutePath();
    Path part = whole.resolveSibling("." + whole.getFileName() + ".part");
    try {
      try (FileChannel channel =
          FileChannel.open(
              part,
              StandardOpenOption.CREATE,
              StandardOpenOption.TRUNCATE_EXISTING,
              StandardOpenOption.WRITE)) {
        drain(channel, ByteBuffer.wrap(head(metadata, items)));
        tensors(channel, items, progress);
        channel.force(true);
      }
      Files.move(part, whole, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
    } catch (IOException e) {
      throw new EngineException(file + ": cannot be written: " + e.getMessage(), e);
    } finally {
      delete(part);
    }
  }

  private static void delete(Path part) {
    try {
      Files.deleteIfExists(part);
    } catch (IOException e) {
      // What is left has a name that says it is a part.
    }
  }

  private static void tensors(FileChannel channel, List<Item> items, LongConsumer progress)
      throws IOException {
    long done = 0;
    for (Item item : items) {
      int perRow = Math.toIntExact(item.type.bytes(item.shape[0]));
      int most = (int) Math.max(1, Math.min(BATCH / item.shape[0], item.rowCount()));
      Batch batch = new Batch(item, most, perRow);
      for (long r = 0; r < item.rowCount(); r += most) {
        int n = (int) Math.min(most, item.rowCount() - r);
        batch.fill(r, n);
        drain(channel, ByteBuffer.wrap(batch.stored, 0, n * perRow));
        done += (long) n * perRow;
        progress.accept(done);
      }
      drain(channel, ByteBuffer.allocate(padding(item.bytes())));
    }
  }

  /** Some rows of a tensor, in its blocks. */
  private static final class Batch {
    private final Item item;
    private final int columns;
    private final int perRow;
    private final byte[] stored;
    private final float[] row;
    private final float[] numbers;

    Batch(Item item, int rows, int perRow) {
      this.item = item;
      this.columns = Math.toIntExact(item.shape[0]);
      this.perRow = perRow;
      this.stored = new byte[Math.multiplyExact(rows, perRow)];
      this.row = new float[columns];
      this.numbers = new float[Math.multiplyExact(rows, columns)];
    }

    void fill(long from, int rows) {
      switch (item.content) {
        case Content.Blocks(StoredRows source) -> {
          byte[] one = new byte[perRow];
          for (int i = 0; i < rows; i++) {
            source.read(from + i, one);
            System.arraycopy(one, 0, stored, i * perRow, perRow);
          }
        }
        case Content.Numbers(Rows source) -> {
          for (int i = 0; i < rows; i++) {
            source.read(from + i, row);
            System.arraycopy(row, 0, numbers, i * columns, columns);
          }
          MemorySegment to = MemorySegment.ofArray(stored);
          IntStream.range(0, rows).parallel().forEach(i -> quantise(from + i, i, to));
        }
      }
    }

    private void quantise(long place, int i, MemorySegment to) {
      try {
        Quantise.row(item.type, numbers, i * columns, columns, to, (long) i * perRow);
      } catch (EngineException e) {
        throw new EngineException(
            "tensor " + item.name + ", row " + place + ": " + e.getMessage(), e);
      }
    }
  }

  private static void drain(FileChannel channel, ByteBuffer bytes) throws IOException {
    while (bytes.hasRemaining()) {
      channel.write(bytes);
    }
  }

  private static int padding(long size) {
    return (int) (Math.ceilDiv(size, (long) ALIGNMENT) * ALIGNMENT - size);
  }

  private static byte[] head(Map<String, Object> metadata, List<Item> items) {
    Head head = new Head();
    head.int32(0x46554747).int32(3).int64(items.size()).int64(metadata.size());
    metadata.forEach((key, value) -> head.text(key).value(key, value));
    long offset = 0;
    for (Item item : items) {
      head.text(item.name).int32(item.shape.length);
      for (long n : item.shape) {
        head.int64(n);
      }
      head.int32(item.type.id()).int64(offset);
      offset += item.bytes() + padding(item.bytes());
    }
    return head.padded();
  }

  /** Grows by little-endian numbers and texts. */
  private static final class Head {
    private final ByteArrayOutputStream out = new ByteArrayOutputStream();

    Head int32(int v) {
      return int64(v, 4);
    }

    Head int64(long v) {
      return int64(v, 8);
    }

    private Head int64(long v, int size) {
      for (int i = 0; i < size; i++) {
        out.write((int) (v >>> (8 * i)));
      }
      return this;
    }

    Head text(String s) {
      byte[] utf8 = s.getBytes(StandardCharsets.UTF_8);
      int64(utf8.length);
      out.writeBytes(utf8);
      return this;
    }

    Head value(String key, Object value) {
      return switch (value) {
        case Long v when v >= 0 && v < 1L << 32 -> int32(4).int32(v.intValue());
        case Long v -> int32(11).int64(v);
        case Double v -> int32(6).int32(Float.floatToRawIntBits(v.floatValue()));
        case Boolean v -> {
          int32(7);
          out.write(v ? 1 : 0);
          yield this;
        }
        case String v -> int32(8).text(v);
        case long[] list -> {
          int32(9).int32(5).int64(list.length);
          for (long v : list) {
            int32(Math.toIntExact(v));
          }
          yield this;
        }
        case double[] list -> {
          int32(9).int32(6).int64(list.length);
          for (double v : list) {
            int32(Float.floatToRawIntBits((float) v));
          }
          yield this;
        }
        case boolean[] list -> {
          int32(9).int32(7).int64(list.length);
          for (boolean v : list) {
            out.write(v ? 1 : 0);
          }
          yield this;
        }
        case String[] list -> {
          int32(9).int32(8).int64(list.length);
          for (String v : list) {
            text(v);
          }
          yield this;
        }
        default -> throw new IllegalArgumentException(key + " is a " + value.getClass());
      };
    }

    byte[] padded() {
      out.writeBytes(new byte[padding(out.size())]);
      return out.toByteArray();
    }
  }
}
