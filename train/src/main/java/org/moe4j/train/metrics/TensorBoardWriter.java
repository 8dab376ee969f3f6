package org.moe4j.train.metrics;

import java.io.ByteArrayOutputStream;
import java.io.Closeable;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.time.Instant;
import java.time.InstantSource;
import java.util.Map;
import java.util.zip.CRC32C;
import org.moe4j.tensor.MoeException;

/**
 * Scalars as a TensorBoard event file: a sequence of TFRecords, each a serialised {@code
 * tensorflow.Event} (event.proto, summary.proto of TensorBoard).
 *
 * <p>A TFRecord is the length (8 bytes, little endian), the masked CRC-32C of the length, the
 * bytes, and their masked CRC-32C. TensorBoard reads all event files of a folder in the order of
 * their names and ignores an incomplete record at the end of one, so every start of a run writes a
 * new file.
 */
public final class TensorBoardWriter implements Closeable {
  private static final int EVENT_WALL_TIME = 1;
  private static final int EVENT_STEP = 2;
  private static final int EVENT_FILE_VERSION = 3;
  private static final int EVENT_SUMMARY = 5;
  private static final int EVENT_SESSION_LOG = 7;
  private static final int SUMMARY_VALUE = 1;
  private static final int VALUE_TAG = 1;
  private static final int VALUE_SIMPLE = 2;
  private static final int SESSION_STATUS = 1;
  private static final int SESSION_START = 1;
  private static final int CRC_MASK = 0xa282ead8;

  private final Path file;
  private final FileChannel channel;
  private final InstantSource clock;

  private TensorBoardWriter(Path file, FileChannel channel, InstantSource clock) {
    this.file = file;
    this.channel = channel;
    this.clock = clock;
  }

  /**
   * Opens a new event file in {@code folder}, which is made where it is missing. It tells
   * TensorBoard to forget what earlier files say of steps from {@code firstStep} on.
   *
   * @throws MoeException when the file cannot be written
   */
  public static TensorBoardWriter open(Path folder, long firstStep, InstantSource clock) {
    try {
      Files.createDirectories(folder);
      TensorBoardWriter writer = create(folder, clock);
      Message version = writer.event(0).text(EVENT_FILE_VERSION, "brain.Event:2");
      Message start = new Message().varint(SESSION_STATUS, SESSION_START);
      writer.append(version);
      writer.append(writer.event(firstStep).message(EVENT_SESSION_LOG, start));
      return writer;
    } catch (IOException e) {
      throw unwritable(folder, e);
    }
  }

  private static TensorBoardWriter create(Path folder, InstantSource clock) throws IOException {
    long second = clock.instant().getEpochSecond();
    for (int n = 0; ; n++) {
      Path file = folder.resolve("events.out.tfevents.%010d.%03d.moe4j".formatted(second, n));
      try {
        FileChannel channel =
            FileChannel.open(file, StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE);
        return new TensorBoardWriter(file, channel, clock);
      } catch (FileAlreadyExistsException e) {
        // A start within the same second: the next number.
      }
    }
  }

  /** Appends the scalars of one step; they are in the file when this returns. */
  public void write(long step, Map<String, Double> scalars) {
    Message summary = new Message();
    scalars.forEach(
        (tag, value) ->
            summary.message(
                SUMMARY_VALUE,
                new Message().text(VALUE_TAG, tag).float32(VALUE_SIMPLE, value.floatValue())));
    append(event(step).message(EVENT_SUMMARY, summary));
  }

  private Message event(long step) {
    Instant now = clock.instant();
    double seconds = now.getEpochSecond() + now.getNano() * 1e-9;
    return new Message().float64(EVENT_WALL_TIME, seconds).varint(EVENT_STEP, step);
  }

  private void append(Message event) {
    byte[] data = event.bytes();
    ByteBuffer frame =
        ByteBuffer.allocate(data.length + 16)
            .order(ByteOrder.LITTLE_ENDIAN)
            .putLong(data.length)
            .putInt(0)
            .put(data)
            .putInt(maskedCrc(data, data.length));
    frame.putInt(8, maskedCrc(frame.array(), 8)).flip();
    try {
      while (frame.hasRemaining()) {
        channel.write(frame);
      }
    } catch (IOException e) {
      throw unwritable(file, e);
    }
  }

  /** A rotation and a constant keep the checksum of data that holds checksums apart from them. */
  private static int maskedCrc(byte[] bytes, int length) {
    CRC32C crc = new CRC32C();
    crc.update(bytes, 0, length);
    return Integer.rotateRight((int) crc.getValue(), 15) + CRC_MASK;
  }

  @Override
  public void close() {
    try {
      channel.close();
    } catch (IOException e) {
      throw unwritable(file, e);
    }
  }

  private static MoeException unwritable(Path path, IOException e) {
    return new MoeException(
        path
            + ": TensorBoard events cannot be written ("
            + e.getMessage()
            + "); free space or"
            + " check rights",
        e);
  }

  /** The fields of a protocol buffer message in its wire format. */
  private static final class Message {
    private static final int VARINT = 0;
    private static final int FIXED64 = 1;
    private static final int BYTES = 2;
    private static final int FIXED32 = 5;

    private final ByteArrayOutputStream out = new ByteArrayOutputStream();

    byte[] bytes() {
      return out.toByteArray();
    }

    Message varint(int field, long value) {
      tag(field, VARINT);
      raw(value);
      return this;
    }

    Message float64(int field, double value) {
      tag(field, FIXED64);
      fixed(Double.doubleToLongBits(value), Long.BYTES);
      return this;
    }

    Message float32(int field, float value) {
      tag(field, FIXED32);
      fixed(Float.floatToIntBits(value), Integer.BYTES);
      return this;
    }

    Message text(int field, String value) {
      return bytes(field, value.getBytes(StandardCharsets.UTF_8));
    }

    Message message(int field, Message value) {
      return bytes(field, value.bytes());
    }

    private Message bytes(int field, byte[] value) {
      tag(field, BYTES);
      raw(value.length);
      out.writeBytes(value);
      return this;
    }

    private void tag(int field, int wireType) {
      raw(((long) field << 3) | wireType);
    }

    private void raw(long value) {
      long rest = value;
      for (; (rest & ~0x7fL) != 0; rest >>>= 7) {
        out.write((int) ((rest & 0x7f) | 0x80));
      }
      out.write((int) rest);
    }

    private void fixed(long bits, int bytes) {
      for (int i = 0; i < bytes; i++) {
        out.write((int) (bits >>> (8 * i)));
      }
    }
  }
}
