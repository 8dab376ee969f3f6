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
import org.moe4j.engine.EngineException;

/**
 * Writes GGUF files, version 3, little-endian. Rows are asked for one at a time, so a model of any
 * size is written in little memory; the file appears whole or not at all.
 */
public final class GgufWriter {
  private static final int ALIGNMENT = 32;

  /** Gives the rows of a tensor. */
  @FunctionalInterface
  public interface Rows {
    /** Fills {@code into} with row {@code row} of all stacked matrices. */
    void read(long row, float[] into);
  }

  /**
   * A tensor to be written.
   *
   * @param type one of {@link Quantise#TYPES}
   * @param shape sizes, the fastest-running dimension first
   * @param rows its numbers
   */
  @SuppressWarnings("ArrayRecordComponent") // handed over, never compared
  public record Item(String name, GgmlType type, long[] shape, Rows rows) {
    private long rowCount() {
      long rows = 1;
      for (int i = 1; i < shape.length; i++) {
        rows = Math.multiplyExact(rows, shape[i]);
      }
      return rows;
    }

    private long bytes() {
      return Math.multiplyExact(type.bytes(shape[0]), rowCount());
    }
  }

  private GgufWriter() {}

  /**
   * Writes {@code file}.
   *
   * @param metadata Long (u32 where it fits, else i64), Double (f32), Boolean, String, and lists as
   *     long[] (i32), double[] (f32), String[]
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
      int columns = Math.toIntExact(item.shape[0]);
      float[] row = new float[columns];
      byte[] stored = new byte[Math.toIntExact(item.type.bytes(columns))];
      ByteBuffer batch = ByteBuffer.allocate(Math.max(stored.length, 1 << 20));
      for (long r = 0; r < item.rowCount(); r++) {
        item.rows.read(r, row);
        try {
          Quantise.row(item.type, row, 0, columns, MemorySegment.ofArray(stored), 0);
        } catch (EngineException e) {
          throw new EngineException(
              "tensor " + item.name + ", row " + r + ": " + e.getMessage(), e);
        }
        if (batch.remaining() < stored.length) {
          drain(channel, batch.flip());
          batch.clear();
        }
        batch.put(stored);
        done += stored.length;
        progress.accept(done);
      }
      drain(channel, batch.flip());
      drain(channel, ByteBuffer.allocate(padding(item.bytes())));
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
