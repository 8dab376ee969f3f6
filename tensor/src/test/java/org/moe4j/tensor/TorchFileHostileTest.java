package org.moe4j.tensor;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.function.Consumer;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.moe4j.tensor.TorchFixture.Pickle;
import org.moe4j.tensor.TorchFixture.Zip;

/** Files that lie: each is one line that names the file and what is wrong. */
class TorchFileHostileTest {
  private static final int CENTRAL = 0x02014b50;
  private static final int END = 0x06054b50;

  @TempDir Path dir;

  private Path file() {
    return dir.resolve("pytorch_model.bin");
  }

  private static void refused(Path path, String... words) {
    assertThatThrownBy(() -> TorchFile.open(path).close())
        .isInstanceOf(MoeException.class)
        .hasMessageContaining(path.getFileName().toString())
        .hasMessageContainingAll(words)
        .satisfies(e -> assertThat(e.getMessage()).doesNotContain("\n"));
  }

  private void refused(Pickle pickle, String... words) throws IOException {
    refused(TorchFixture.file(file(), pickle, 24), words);
  }

  private static Pickle pickle() {
    return new Pickle();
  }

  @Test
  void foreignGlobalsAreNamedAndNeverRun() throws IOException {
    Path proof = dir.resolve("proof");
    refused(pickle().global("os", "system").op('(').text("touch " + proof).ops("tR."), "os.system");
    refused(pickle().global("builtins", "eval").ops("."), "builtins.eval");
    refused(pickle().global("torch.serialization", "load").ops("."), "torch.serialization.load");
    refused(pickle().global("torch", "load").ops("."), "torch.load");
    refused(pickle().global("collections", "OrderedDict.update").ops("."), "OrderedDict.update");
    refused(pickle().text("posix").text("system").op(0x93, '.'), "posix.system");
    refused(pickle().global("a\tb\u0085", "c").ops("."), "a?b");
    assertThat(proof).doesNotExist();
  }

  @Test
  void callsOfWhatIsNoFunctionAreRefused() throws IOException {
    refused(pickle().text("os.system").ops(")R."), "calls what is no function");
    refused(pickle().global("torch", "FloatStorage").ops(")R."), "calls what is no function");
    refused(pickle().global("collections", "OrderedDict").ops("}R."), "without arguments");
    refused(pickle().global("collections", "OrderedDict").ops("N").op(0x85).ops("R."), "arguments");
    refused(pickle().global("torch._utils", "_rebuild_parameter").ops(")R."), "parameter");
    refused(pickle().global("torch._utils", "_rebuild_tensor_v2").ops(")R."), "0 arguments");
    refused(pickle().text("0").ops("Q."), "no storage");
    refused(pickle().text("a").ops("}b."), "attributes");
  }

  /** Each opcode that builds objects of classes, or comes from another age, is unknown. */
  @ParameterizedTest
  @CsvSource({"i,0x69", "o,0x6f", "P,0x50", "I,0x49", "p,0x70", "\u0081,0x81", "\u0092,0x92"})
  void otherOpcodesAreRefused(char opcode, String shown) throws IOException {
    refused(pickle().ops("}").op(opcode).ops("."), "opcode " + shown, "no state dict needs");
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "6|0|2,3|3,2|needs 8 elements of its storage, which has 6",
        "6|1|2,3|3,1|needs 7 elements",
        "6|6|1|1|needs 7 elements",
        "6|-1|2,3|3,1|negative",
        "6|0|2,-3|3,1|negative",
        "6|0|2,3|3,-1|negative",
        "6|0|2,3|3|2 sizes and 1 strides",
        "6|0|7|0|repeats the values",
        "6|0|1099511627776|0|repeats the values",
        "6|0|4294967296,4294967296,4|0,0,0|overflows",
        "6|0|0,4294967296,4294967296|1,1,1|overflows",
        "6|0|3,2|9223372036854775807,1|overflows",
        "6|9223372036854775807|1|1|overflows",
        "7|0|2,3|3,1|24 bytes, not 7 elements of 4",
        "4611686018427387910|0|2,3|3,1|24 bytes, not",
        "-6|0|2,3|3,1|24 bytes, not",
      })
  void viewsThatLeaveTheirStorage(
      long elements, long offset, String sizes, String strides, String problem) throws IOException {
    Pickle p =
        pickle()
            .ops("}")
            .text("a.weight")
            .tensor(elements, offset, longs(sizes), longs(strides))
            .ops("s.");
    refused(p, "tensor a.weight", problem);
  }

  private static long[] longs(String commas) {
    return Arrays.stream(commas.split(",", -1)).mapToLong(Long::parseLong).toArray();
  }

  @Test
  void aTensorWithoutItsStorageOrWithTooManySizes() throws IOException {
    Pickle p = pickle().ops("}").text("a").tensor(6, 0, new long[] {6}, new long[] {1}).ops("s.");
    Path file = new Zip().stored("x/data.pkl", p.bytes()).write(file());
    refused(file, "tensor a", "storage 0 is missing");
    refused(
        pickle().ops("}").text("a").tensor(6, 0, new long[65], new long[65]).ops("s."), "65 sizes");
  }

  @Test
  void picklesThatAreDamaged() throws IOException {
    Path empty = new Zip().stored("x/data.pkl", new byte[0]).write(file());
    refused(empty, "cut at byte 0");
    refused(pickle().ops("}"), "cut");
    refused(pickle().ops("."), "stack is empty");
    refused(pickle().ops("}}."), "more follows");
    refused(pickle().ops("}.}"), "more follows");
    refused(pickle().ops("({."), "0x7b");
    refused(pickle().ops("}("), "cut");
    refused(pickle().ops("}(s."), "stack is empty");
    refused(pickle().ops("}u."), "mark is missing");
    refused(pickle().ops("](NNu."), "no dict");
    refused(pickle().ops("}(Nu."), "no dict");
    refused(pickle().ops("}NNs."), "key is not a string");
    refused(pickle().ops("}Na."), "no list");
    refused(pickle().ops("}").text("a").ops("Ns").text("a").ops("Ns."), "two entries", "a");
    refused(pickle().ops("N."), "no dict of tensors");
    refused(pickle().op(0x80, 9), "protocol 9");
    refused(pickle().op('h', 3), "memo has no entry 3");
    refused(pickle().op('j').int32(-1), "memo has no entry 4294967295");
    refused(pickle().ops("}r").int32(-2), "memo entry 4294967294 after 0");
    refused(pickle().op('X').int32(-1), "cut");
    refused(pickle().op('X').int32(1 << 30), "cut");
    refused(pickle().op(0x8d).int32(0).int32(1 << 31), "cut");
    refused(pickle().op(0x95).int32(0).int32(1), "cut");
    refused(pickle().op('X').int32(1).op(0xff), "not UTF-8");
    refused(pickle().op(0x8a, 9), "integer of 9 bytes");
    refused(pickle().ops("cos"), "cut");
  }

  @Test
  void deepNestingEndsInALineNotInAStackOverflow() throws IOException {
    refused(pickle().ops("}").text("a").ops("N" + "\u0085".repeat(1_000_000) + "s."), "entry a");
    refused(pickle().ops("(".repeat(1_000_000)), "cut");
    refused(pickle().ops("]".repeat(1_000_000) + "a".repeat(999_999) + "."), "no dict of tensors");
    refused(pickle().ops("N".repeat(5_000_000)), "more than 4194304 steps");
    refused(pickle().ops("c" + "a".repeat(1_000_000) + "\nb\n."), "...");
  }

  @Test
  void zipFilesThatAreNoTorchFiles() throws IOException {
    refused(Files.write(file(), new byte[0]), "no torch file");
    refused(Files.write(file(), new byte[100]), "no torch file");
    refused(new Zip().stored("a", new byte[9]).write(file()), "0 entries NAME/data.pkl");
    refused(
        new Zip().stored("a/data.pkl", new byte[9]).stored("b/data.pkl", new byte[9]).write(file()),
        "2 entries");
    refused(new Zip().compressed("x/data.pkl", new byte[99]).write(file()), "compressed");
    refused(
        new Zip()
            .stored("x/data.pkl", "}.".getBytes(StandardCharsets.US_ASCII))
            .compressed("x/data/0", new byte[1 << 20])
            .write(file()),
        "x/data/0 is compressed");
    Files.delete(file());
    refused(Files.createDirectory(dir.resolve("d")), "holds neither");
  }

  @Test
  void everyTruncationIsRefused() throws Exception {
    byte[] whole = Files.readAllBytes(TorchFixture.file("state.bin"));
    for (int n = 0; n < whole.length; n += 13) {
      refused(Files.write(file(), Arrays.copyOf(whole, n)), "torch file");
    }
    refused(Files.write(file(), Arrays.copyOf(whole, whole.length + 1)), "file is cut");
  }

  @Test
  void directoriesThatLie() throws IOException {
    lies(b -> b.putInt(central(b, 1) + 20, 99).putInt(central(b, 1) + 24, 99), "goes past its end");
    lies(b -> b.putInt(central(b, 1) + 24, 99), "compressed");
    lies(b -> b.putShort(central(b, 0) + 8, (short) 1), "encrypted");
    lies(b -> b.putInt(central(b, 1) + 42, 1), "not where the directory says");
    lies(b -> b.putInt(central(b, 1) + 42, b.getInt(central(b, 0) + 42)), "overlaps another");
    lies(b -> b.putInt(central(b, 1) + 42, -2), "not where the directory says");
    lies(b -> b.put(central(b, 1) + 46, (byte) 'y'), "another name");
    lies(b -> b.putShort(central(b, 1) + 28, (short) -1), "damaged");
    lies(b -> b.putInt(central(b, 1), 7), "damaged");
    lies(b -> b.putShort(end(b) + 10, (short) 1), "2 entries, not the 1");
    lies(b -> b.putInt(end(b) + 12, -1), "is not there");
    lies(b -> b.putInt(end(b) + 16, -1), "is not there");
    lies(b -> b.putShort(end(b) + 4, (short) 1), "volumes");
    lies(b -> b.putShort(26, (short) -1), "not where the directory says");
    lies(b -> b.putShort(8, (short) 8), "not where the directory says");
  }

  private void lies(Consumer<ByteBuffer> lie, String problem) throws IOException {
    Pickle p = pickle().ops("}").text("a").tensor(6, 0, new long[] {6}, new long[] {1}).ops("s.");
    byte[] whole =
        new Zip().stored("x/data.pkl", p.bytes()).stored("x/data/0", new byte[24]).bytes();
    lie.accept(ByteBuffer.wrap(whole).order(ByteOrder.LITTLE_ENDIAN));
    refused(Files.write(file(), whole), problem);
  }

  private static int end(ByteBuffer zip) {
    assertThat(zip.getInt(zip.limit() - 22)).isEqualTo(END);
    return zip.limit() - 22;
  }

  private static int central(ByteBuffer zip, int index) {
    int at = zip.getInt(end(zip) + 16);
    for (int i = 0; i < index; i++) {
      at += 46 + zip.getShort(at + 28) + zip.getShort(at + 30);
    }
    assertThat(zip.getInt(at)).isEqualTo(CENTRAL);
    return at;
  }

  @Test
  void twoEntriesOfOneName() throws IOException {
    byte[] whole =
        new Zip()
            .stored("x/data.pkl", "}.".getBytes(StandardCharsets.US_ASCII))
            .stored("x/data.pkm", "}.".getBytes(StandardCharsets.US_ASCII))
            .bytes();
    String text = new String(whole, StandardCharsets.ISO_8859_1).replace("pkm", "pkl");
    refused(
        Files.write(file(), text.getBytes(StandardCharsets.ISO_8859_1)),
        "two entries have the name x/data.pkl");
  }

  /** Sizes and places beyond 32 bits stand in a 64-bit directory; small files may have it too. */
  @Test
  void a64BitDirectoryIsReadAndChecked() throws IOException {
    Files.write(file(), wide(0));
    try (TorchFile in = TorchFile.open(file())) {
      assertThat(in.describe("a").shape()).containsExactly(6L);
    }
    refused(Files.write(file(), wide(1)), "directory");
    refused(Files.write(file(), wide(Long.MAX_VALUE)), "directory");
    refused(Files.write(file(), wide(Long.MIN_VALUE)), "directory");
  }

  private static byte[] wide(long lie) throws IOException {
    Pickle p = pickle().ops("}").text("a").tensor(6, 0, new long[] {6}, new long[] {1}).ops("s.");
    byte[] narrow =
        new Zip().stored("x/data.pkl", p.bytes()).stored("x/data/0", new byte[24]).bytes();
    ByteBuffer in = ByteBuffer.wrap(narrow).order(ByteOrder.LITTLE_ENDIAN);
    int end = end(in);
    int second = central(in, 1);
    long start = in.getInt(end + 16);
    // The second entry's numbers move into field 1 of its extra, which makes it 28 bytes longer.
    ByteBuffer out = ByteBuffer.allocate(narrow.length + 28 + 56 + 20).order(in.order());
    out.put(narrow, 0, end);
    out.putShort((short) 1).putShort((short) 24).putLong(24).putLong(24);
    out.putLong(in.getInt(second + 42));
    out.putInt(second + 20, -1).putInt(second + 24, -1).putInt(second + 42, -1);
    out.putShort(second + 30, (short) (in.getShort(second + 30) + 28));
    long wideEnd = out.position();
    out.putInt(0x06064b50).putLong(44).putInt(0).putInt(0).putInt(0).putLong(2).putLong(2);
    out.putLong(wideEnd - start).putLong(start + lie);
    out.putInt(0x07064b50).putInt(0).putLong(wideEnd).putInt(1);
    out.put(narrow, end, 22);
    out.putInt(out.limit() - 10, -1).putInt(out.limit() - 6, -1);
    return out.array();
  }
}
