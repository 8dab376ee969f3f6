package org.moe4j.train.metrics;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.time.InstantSource;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Reads the files back with a decoder of its own: framing, a bitwise CRC-32C, protobuf fields. */
class TensorBoardWriterTest {
  private static final InstantSource NOON =
      InstantSource.fixed(Instant.parse("2026-01-02T12:00:00.5Z"));

  @TempDir private Path folder;

  private record Event(
      double time, long step, String version, long session, Map<String, Float> scalars) {}

  @Test
  void scalarsReadBack() throws IOException {
    try (TensorBoardWriter writer = TensorBoardWriter.open(folder, 0, NOON)) {
      writer.write(1, Map.of("train/loss", 8.25));
      writer.write(300, Map.of("val/bpb", Double.NaN));
      writer.write(5_000_000_000L, Map.of("größe", -1e30));
    }
    double time = Instant.parse("2026-01-02T12:00:00Z").getEpochSecond() + 0.5;
    assertThat(events(files().getFirst()))
        .containsExactly(
            new Event(time, 0, "brain.Event:2", 0, Map.of()),
            new Event(time, 0, "", 1, Map.of()),
            new Event(time, 1, "", 0, Map.of("train/loss", 8.25f)),
            new Event(time, 300, "", 0, Map.of("val/bpb", Float.NaN)),
            new Event(time, 5_000_000_000L, "", 0, Map.of("größe", -1e30f)));
  }

  @Test
  void aResumedRunOpensTheNextFileAndPurgesFromItsFirstStep() throws IOException {
    TensorBoardWriter.open(folder, 0, NOON).close();
    TensorBoardWriter.open(folder, 41, NOON).close();
    assertThat(files()).hasSize(2).allMatch(f -> f.getFileName().toString().contains("tfevents"));
    Event start = events(files().getLast()).getLast();
    assertThat(start.step()).isEqualTo(41);
    assertThat(start.session()).isEqualTo(1);
  }

  /** The frame of a known record, its checksums computed independently. */
  @Test
  void theFirstRecordHasTheKnownBytes() throws IOException {
    TensorBoardWriter.open(folder, 0, InstantSource.fixed(Instant.EPOCH)).close();
    byte[] bytes = Files.readAllBytes(files().getFirst());
    assertThat(HexFormat.of().formatHex(bytes, 0, 8)).isEqualTo("1a00000000000000");
    assertThat(HexFormat.of().formatHex(bytes, 12, 38))
        .isEqualTo("09" + "0000000000000000" + "1000" + "1a0d" + "627261696e2e4576656e743a32");
    // The published check value of CRC-32C.
    assertThat(crc32c("123456789".getBytes(StandardCharsets.US_ASCII))).isEqualTo(0xe3069283);
  }

  private List<Path> files() throws IOException {
    try (Stream<Path> files = Files.list(folder)) {
      return files.sorted().toList();
    }
  }

  private static List<Event> events(Path file) throws IOException {
    ByteBuffer in = ByteBuffer.wrap(Files.readAllBytes(file)).order(ByteOrder.LITTLE_ENDIAN);
    List<Event> events = new ArrayList<>();
    while (in.hasRemaining()) {
      byte[] length = new byte[8];
      in.get(in.position(), length);
      byte[] data = new byte[Math.toIntExact(in.getLong())];
      assertThat(in.getInt()).isEqualTo(masked(length));
      in.get(data);
      assertThat(in.getInt()).isEqualTo(masked(data));
      events.add(event(ByteBuffer.wrap(data).order(ByteOrder.LITTLE_ENDIAN)));
    }
    return events;
  }

  private static Event event(ByteBuffer in) {
    double time = 0;
    long step = 0;
    String version = "";
    long session = 0;
    Map<String, Float> scalars = new HashMap<>();
    while (in.hasRemaining()) {
      switch ((int) varint(in)) {
        case (1 << 3) | 1 -> time = in.getDouble();
        case 2 << 3 -> step = varint(in);
        case (3 << 3) | 2 -> version = text(in);
        case (5 << 3) | 2 -> summary(message(in), scalars);
        case (7 << 3) | 2 -> {
          ByteBuffer log = message(in);
          assertThat(varint(log)).isEqualTo(1 << 3);
          session = varint(log);
        }
        default -> throw new AssertionError("unknown field");
      }
    }
    return new Event(time, step, version, session, scalars);
  }

  private static void summary(ByteBuffer in, Map<String, Float> scalars) {
    while (in.hasRemaining()) {
      assertThat(varint(in)).isEqualTo((1 << 3) | 2);
      ByteBuffer value = message(in);
      assertThat(varint(value)).isEqualTo((1 << 3) | 2);
      String tag = text(value);
      assertThat(varint(value)).isEqualTo((2 << 3) | 5);
      scalars.put(tag, value.getFloat());
      assertThat(value.hasRemaining()).isFalse();
    }
  }

  private static ByteBuffer message(ByteBuffer in) {
    int length = Math.toIntExact(varint(in));
    ByteBuffer part = in.slice(in.position(), length).order(ByteOrder.LITTLE_ENDIAN);
    in.position(in.position() + length);
    return part;
  }

  private static String text(ByteBuffer in) {
    return StandardCharsets.UTF_8.decode(message(in)).toString();
  }

  private static long varint(ByteBuffer in) {
    long value = 0;
    for (int shift = 0; ; shift += 7) {
      byte b = in.get();
      value |= (b & 0x7fL) << shift;
      if (b >= 0) {
        return value;
      }
    }
  }

  private static int masked(byte[] data) {
    int crc = crc32c(data);
    return ((crc >>> 15) | (crc << 17)) + 0xa282ead8;
  }

  private static int crc32c(byte[] data) {
    int crc = -1;
    for (byte b : data) {
      crc ^= b & 0xff;
      for (int bit = 0; bit < 8; bit++) {
        crc = (crc >>> 1) ^ (0x82f63b78 & -(crc & 1));
      }
    }
    return ~crc;
  }
}
