package org.moe4j.engine.gguf;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.net.URISyntaxException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import org.assertj.core.api.ThrowableAssert.ThrowingCallable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.moe4j.engine.EngineException;

class GgufFileTest {
  @TempDir Path folder;

  static Path resource(String name) {
    try {
      return Path.of(GgufFileTest.class.getResource("/gguf/" + name).toURI());
    } catch (URISyntaxException e) {
      throw new AssertionError(e);
    }
  }

  @Test
  void everyTypeIsReadBitByBitAsTheReferenceReadsIt() throws IOException {
    ByteBuffer expected =
        ByteBuffer.wrap(Files.readAllBytes(resource("types.f32"))).order(ByteOrder.LITTLE_ENDIAN);
    try (GgufFile file = GgufFile.open(resource("types.gguf"))) {
      assertThat(file.tensors()).extracting(GgufTensor::type).containsOnly(GgmlType.values());
      for (GgufTensor t : file.tensors()) {
        assertThat(t.shape()).containsExactly(512, 2);
        float[] values = t.floats();
        for (int i = 0; i < values.length; i++) {
          assertThat(Float.floatToRawIntBits(values[i]))
              .as("%s, number %d", t, i)
              .isEqualTo(expected.getInt());
        }
      }
    }
    assertThat(expected.hasRemaining()).isFalse();
  }

  /** It differs in its number alone. */
  @Test
  void versionTwoIsReadLikeThree() throws IOException {
    byte[] bytes = Files.readAllBytes(resource("types.gguf"));
    assertThat(bytes[4]).isEqualTo((byte) 3);
    bytes[4] = 2;
    try (GgufFile two = GgufFile.open(written(bytes));
        GgufFile three = GgufFile.open(resource("types.gguf"))) {
      assertThat(two.tensors()).hasSameSizeAs(three.tensors());
      for (GgufTensor t : three.tensors()) {
        assertThat(two.tensor(t.name()).floats()).containsExactly(t.floats());
      }
    }
  }

  @Test
  void dataIsCopiedFromTheFileUntilItEnds() throws IOException {
    Path path = Files.copy(resource("types.gguf"), folder.resolve("cut.gguf"));
    try (GgufFile file = GgufFile.open(path);
        Arena arena = Arena.ofConfined()) {
      GgufTensor last = file.tensors().stream().reduce((a, b) -> b).orElseThrow();
      MemorySegment data = last.data().asSlice(last.rowBytes(), last.rowBytes());
      MemorySegment to = arena.allocate(last.rowBytes());
      file.copy(data, to);
      assertThat(to.mismatch(data)).isEqualTo(-1);
      try (FileChannel channel = FileChannel.open(path, StandardOpenOption.WRITE)) {
        channel.truncate(4096);
      }
      refused(() -> file.copy(data, to), "was truncated");
    }
  }

  /** An interrupt closes the channel that the thread reads with. */
  @Test
  void aThreadThatWasInterruptedCopiesAllTheSame() {
    try (GgufFile file = GgufFile.open(resource("types.gguf"));
        Arena arena = Arena.ofConfined()) {
      MemorySegment data = file.tensors().iterator().next().data();
      MemorySegment to = arena.allocate(data.byteSize());
      Thread.currentThread().interrupt();
      file.copy(data, to);
      assertThat(Thread.interrupted()).isTrue();
      assertThat(to.mismatch(data)).isEqualTo(-1);
    }
  }

  @Test
  void metadataOfEveryKindIsRead() {
    try (GgufFile file = GgufFile.open(resource("types.gguf"))) {
      Metadata m = file.metadata();
      assertThat(m.text("general.architecture")).hasValue("test");
      assertThat(m.whole("t.u8")).hasValue(200);
      assertThat(m.whole("t.i8")).hasValue(-100);
      assertThat(m.whole("t.u16")).hasValue(60_000);
      assertThat(m.whole("t.i16")).hasValue(-30_000);
      assertThat(m.whole("t.u32")).hasValue(4_000_000_000L);
      assertThat(m.whole("t.i32")).hasValue(-2_000_000_000);
      assertThat(m.whole("t.u64")).hasValue(1L << 40);
      assertThat(m.whole("t.i64")).hasValue(-(1L << 40));
      assertThat(m.number("t.f32")).hasValue(0.1f);
      assertThat(m.number("t.f64")).hasValue(0.1);
      assertThat(m.number("t.i8")).hasValue(-100);
      assertThat(m.flag("t.bool")).hasValue(true);
      assertThat(m.text("t.text")).hasValue("naïve 🦜");
      assertThat(m.texts("t.texts")).hasValue(List.of("a", "", "日本"));
      assertThat(m.wholes("t.wholes").orElseThrow()).containsExactly(3, -1, 7);
      assertThat(m.numbers("t.numbers").orElseThrow()).containsExactly(0.5, -2.25);
      assertThat(m.whole("absent")).isEmpty();
      refused(() -> m.text("t.u8"), "t.u8 is not a text");
      refused(() -> m.require("absent", 0, 1), "the metadata has no absent");
      refused(() -> m.require("t.u8", 0, 100), "t.u8 is 200, expected 0 to 100");
    }
  }

  private static void refused(ThrowingCallable what, String why) {
    assertThatThrownBy(what)
        .isInstanceOf(EngineException.class)
        .hasMessageContaining(why)
        .hasMessageNotContaining("\n");
  }

  private Path written(byte[] bytes) throws IOException {
    return Files.write(folder.resolve("m.gguf"), bytes);
  }

  @Test
  void whateverIsCutOffIsRefused() throws IOException {
    byte[] whole = Files.readAllBytes(resource("types.gguf"));
    for (int length = 0; length < whole.length; length += length < 3000 ? 7 : 97) {
      Path cut = written(Arrays.copyOf(whole, length));
      assertThatThrownBy(() -> GgufFile.open(cut).close())
          .as("%d bytes", length)
          .isInstanceOf(EngineException.class)
          .hasMessageNotContaining("\n");
    }
  }

  @Test
  void anyBytesAreEitherReadOrRefused() throws IOException {
    byte[] whole = Files.readAllBytes(resource("types.gguf"));
    Random random = new Random(5);
    int head = 1200;
    int refused = 0;
    for (int i = 0; i < 1000; i++) {
      byte[] broken = whole.clone();
      for (int n = 1 + random.nextInt(3); n > 0; n--) {
        broken[random.nextInt(head)] = (byte) random.nextInt(256);
      }
      try (GgufFile file = GgufFile.open(written(broken))) {
        file.tensors().forEach(GgufTensor::floats);
      } catch (EngineException e) {
        assertThat(e.getMessage()).doesNotContain("\n");
        refused++;
      }
    }
    assertThat(refused).isBetween(100, 999);
  }

  /** A head by hand: little-endian numbers of the given sizes. */
  private static final class Head {
    private final ByteBuffer bytes = ByteBuffer.allocate(4096).order(ByteOrder.LITTLE_ENDIAN);

    Head(int version, long tensors, long keys) {
      bytes.putInt(0x46554747).putInt(version).putLong(tensors).putLong(keys);
    }

    Head text(String s) {
      bytes.putLong(s.length()).put(s.getBytes(StandardCharsets.UTF_8));
      return this;
    }

    Head int32(int v) {
      bytes.putInt(v);
      return this;
    }

    Head int64(long v) {
      bytes.putLong(v);
      return this;
    }

    Head tensor(String name, int type, long offset, long... shape) {
      text(name).int32(shape.length);
      for (long n : shape) {
        int64(n);
      }
      return int32(type).int64(offset);
    }

    byte[] padded(int data) {
      int end = (bytes.position() + 31) / 32 * 32;
      return Arrays.copyOf(bytes.array(), end + data);
    }
  }

  private void refusedFile(byte[] bytes, String why) throws IOException {
    Path file = written(bytes);
    refused(() -> GgufFile.open(file).close(), why);
  }

  @Test
  void liesAreNamed() throws IOException {
    refusedFile("not a model at all".getBytes(StandardCharsets.UTF_8), "is not a GGUF file");
    refusedFile(new Head(1, 0, 0).padded(0), "is GGUF version 1; versions 2 and 3 can be read");
    refusedFile(new Head(3 << 24, 0, 0).padded(0), "big-endian");
    refusedFile(new Head(3, 1L << 60, 0).padded(64), "states 1152921504606846976 tensors");
    refusedFile(new Head(3, -1, 0).padded(64), "states 18446744073709551615 tensors");
    refusedFile(
        new Head(3, 0, 1).int64(1L << 40).padded(64), "states 1099511627776 bytes of a key's name");
    refusedFile(
        new Head(3, 0, 1).text("k").int32(9).int32(9).int64(1).padded(64), "is a list of lists");
    refusedFile(
        new Head(3, 0, 1).text("k").int32(9).int32(8).int64(1L << 33).padded(64),
        "states 8589934592 values of key k");
    refusedFile(new Head(3, 0, 1).text("k").int32(77).padded(64), "unknown type 77");
    refusedFile(
        new Head(3, 1, 0).tensor("a", 99, 0, 32).padded(64),
        "tensor a is of type 99, which is not known; known: f32, f16, q4_0");
    refusedFile(new Head(3, 1, 0).tensor("a", 2, 0, 33).padded(64), "rows of 33 numbers");
    refusedFile(
        new Head(3, 1, 0).tensor("a", 0, 0, 1 << 30, 1 << 30, 1 << 30).padded(64),
        "a size beyond all memory");
    refusedFile(new Head(3, 1, 0).tensor("a", 0, 0, 17).padded(64), "needs 68 bytes at 0");
    refusedFile(new Head(3, 1, 0).tensor("a", 0, 64, 8).padded(64), "needs 32 bytes at 64");
    refusedFile(new Head(3, 1, 0).tensor("a", 0, 8, 8).padded(64), "not at a multiple of 32");
    refusedFile(new Head(3, 1, 0).tensor("a", 0, 0, -8).padded(64), "has a dimension of");
    refusedFile(new Head(3, 1, 0).tensor("a", 0, 0, 1, 1, 1, 1, 1).padded(64), "has 5 dimensions");
    refusedFile(
        new Head(3, 2, 0).tensor("a", 0, 0, 16).tensor("b", 0, 32, 8).padded(64), "overlap at 32");
    refusedFile(
        new Head(3, 2, 0).tensor("a", 0, 0, 8).tensor("a", 0, 32, 8).padded(64),
        "tensor a occurs twice");
    refused(() -> GgufFile.open(folder.resolve("absent.gguf")), "absent.gguf: no such file");
    refused(() -> GgufFile.open(folder), "is a folder");
    Path shard = Files.write(folder.resolve("m-00001-of-00002.gguf"), new byte[8]);
    refused(() -> GgufFile.open(shard), "m-00002-of-00002.gguf: this shard is missing");
  }
}
