package org.moe4j.tensor;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class TorchFileTest {
  @TempDir Path dir;
  private Scope scope = Scope.open();

  @BeforeEach
  void open() {
    scope.close();
    scope = Scope.open();
  }

  @AfterEach
  void close() {
    scope.close();
  }

  private static void isTheFixture(StoredTensors in) throws Exception {
    try (Safetensors expected = Safetensors.open(TorchFixture.file("expected.safetensors"))) {
      assertThat(in.names()).containsExactlyInAnyOrderElementsOf(expected.names());
      assertThat(in.bytes()).isEqualTo(expected.bytes());
      for (String name : expected.names()) {
        assertThat(in.describe(name)).isEqualTo(expected.describe(name));
        Tensor read = in.load(name);
        assertThat(read.dtype()).isEqualTo(expected.describe(name).dtype());
        assertThat(read.segment().mismatch(expected.load(name).segment())).as(name).isEqualTo(-1);
      }
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"state.bin", "protocol4.bin"})
  void readsWhatTorchSaved(String name) throws Exception {
    try (TorchFile in = TorchFile.open(TorchFixture.file(name))) {
      isTheFixture(in);
    }
  }

  @Test
  void readsAFolderWithOneFileOrWithShards() throws Exception {
    Path single = Files.createDirectory(dir.resolve("single"));
    Files.copy(TorchFixture.file("state.bin"), single.resolve(TorchFile.SINGLE_FILE));
    try (TorchFile in = TorchFile.open(single)) {
      isTheFixture(in);
    }
    Files.copy(TorchFixture.file("state.bin"), dir.resolve("a.bin"));
    Files.copy(TorchFixture.file("protocol4.bin"), dir.resolve("b.bin"));
    index("{'weight_map':{'scalar':'a.bin','torch.int64':'b.bin'}}");
    try (TorchFile in = TorchFile.open(dir)) {
      assertThat(in.names()).containsExactly("scalar", "torch.int64");
      assertThat(in.load("scalar").item()).isEqualTo(2.5);
      assertThat(in.load("torch.int64").toLongs()).containsExactly(-3, -2, -1, 0, 1, 2);
    }
  }

  private void index(String json) throws IOException {
    Files.writeString(dir.resolve(TorchFile.INDEX_FILE), json.replace('\'', '"'));
  }

  @ParameterizedTest
  @CsvSource({
    "../a.bin,own folder",
    "/etc/passwd,own folder",
    "a.safetensors,own folder",
    "missing.bin,is missing",
    "a.bin,not in its shard"
  })
  void refusesAnIndexThatLies(String shard, String problem) throws Exception {
    Files.copy(TorchFixture.file("state.bin"), dir.resolve("a.bin"));
    index("{'weight_map':{'nobody':'" + shard + "'}}");
    assertThatThrownBy(() -> TorchFile.open(dir).close())
        .isInstanceOf(MoeException.class)
        .hasMessageContainingAll(TorchFile.INDEX_FILE, "nobody", problem);
  }

  @Test
  void refusesAFolderWithoutWeightsAndANameThatIsNotThere() throws Exception {
    assertThatThrownBy(() -> TorchFile.open(dir).close())
        .hasMessageContainingAll(TorchFile.SINGLE_FILE, TorchFile.INDEX_FILE);
    assertThatThrownBy(() -> TorchFile.open(dir.resolve("nothing")).close())
        .hasMessageContaining("no such file");
    try (TorchFile in = TorchFile.open(TorchFixture.file("state.bin"))) {
      assertThatThrownBy(() -> in.load("nobody")).hasMessageContaining("no tensor nobody");
    }
  }

  @Test
  void loadsIntoExistingMemoryAndConverts() throws Exception {
    try (TorchFile in = TorchFile.open(TorchFixture.file("state.bin"))) {
      Tensor wide = Tensor.zeros(2, 5, 4);
      in.loadInto("experts.1.t", wide.select(0, 1));
      assertThat(wide.select(0, 1).toFloats()).isEqualTo(in.load("experts.1.t").toFloats());
      assertThat(wide.select(0, 0).toFloats()).containsOnly(0);
      Tensor turned = Tensor.zeros(4, 5);
      in.loadInto("experts.1.t", turned.t());
      assertThat(turned.toFloats())
          .isEqualTo(in.load("stack").to(DType.F32).select(0, 1).contiguous().toFloats());
      Tensor run = Tensor.zeros(2, 3);
      in.loadInto("experts.1.t", 1, run);
      assertThat(run.toFloats())
          .containsExactly(in.load("experts.1.t").flatten().narrow(0, 1, 6).toFloats());
      assertThatThrownBy(() -> in.loadInto("stack", Tensor.zeros(4, 5)))
          .isInstanceOf(MoeException.class)
          .hasMessageContainingAll("state.bin", "stack", "[3, 4, 5]", "[4, 5]");
    }
  }

  @Test
  void aSegmentIsTheFilesOwnBytes() throws Exception {
    MemorySegment segment;
    try (TorchFile in = TorchFile.open(TorchFixture.file("state.bin"))) {
      segment = in.segment("stack");
      assertThat(segment.isReadOnly()).isTrue();
      assertThat(segment.mismatch(in.load("stack").segment())).isEqualTo(-1);
      assertThat(in.segment("tied").address()).isEqualTo(segment.address());
      assertThat(in.segment("empty slice").byteSize()).isZero();
      assertThat(in.isContiguous("ids")).isTrue();
      assertThat(in.isContiguous("experts.1.t")).isFalse();
      assertThatThrownBy(() -> in.segment("experts.1.t"))
          .isInstanceOf(MoeException.class)
          .hasMessageContainingAll("state.bin", "experts.1.t", "[1, 5]", "load it");
    }
    assertThatThrownBy(() -> segment.get(ValueLayout.JAVA_BYTE, 0))
        .isInstanceOf(IllegalStateException.class);
  }

  /** A view of 3 x 2 elements that lie over 30 MB of the file is read in halves. */
  @Test
  void readsAViewWhoseElementsLieFarApart() throws IOException {
    int width = 2_500_000;
    byte[] storage = new byte[3 * width * 4];
    for (int i = 0; i < 3; i++) {
      for (int j = 0; j < 2; j++) {
        int at = 4 * (i * width + j * 999 + 7);
        System.arraycopy(bytes(10f * i + j), 0, storage, at, 4);
      }
    }
    TorchFixture.Pickle pickle =
        new TorchFixture.Pickle()
            .ops("}")
            .text("a")
            .tensor(3L * width, 7, new long[] {2, 3}, new long[] {999, width})
            .ops("s.");
    Path file =
        new TorchFixture.Zip()
            .stored("x/data.pkl", pickle.bytes())
            .stored("x/data/0", storage)
            .write(dir.resolve("far.bin"));
    try (TorchFile in = TorchFile.open(file)) {
      assertThat(in.load("a").toFloats()).containsExactly(0, 10, 20, 1, 11, 21);
    }
  }

  private static byte[] bytes(float value) {
    return ByteBuffer.allocate(4).order(ByteOrder.LITTLE_ENDIAN).putFloat(value).array();
  }

  @Test
  void tellsWhatOtherFilesTorchSavedAre() throws Exception {
    refused("legacy.bin", "legacy torch file", "save it again");
    refused("nested.bin", "entry model", "save the state dict alone");
    refused("expanded.bin", "tensor a", "repeats", "[1000] over 1 elements");
    refused("complex.bin", "torch.ComplexFloatStorage");
    refused("module.bin", "torch.nn.modules.linear.Linear", "nothing was run");
    refused("sparse.bin", "torch._utils._rebuild_sparse_tensor");
    refused("expected.safetensors", "no torch file");
  }

  private static void refused(String name, String... words) {
    assertThatThrownBy(() -> TorchFile.open(TorchFixture.file(name)).close())
        .isInstanceOf(MoeException.class)
        .hasMessageContaining(name)
        .hasMessageContainingAll(words);
  }

  @Test
  void refusesBigEndianFiles() throws IOException {
    Path file =
        new TorchFixture.Zip()
            .stored("x/data.pkl", "}.".getBytes(StandardCharsets.US_ASCII))
            .stored("x/byteorder", "big".getBytes(StandardCharsets.US_ASCII))
            .write(dir.resolve("big.bin"));
    assertThatThrownBy(() -> TorchFile.open(file).close())
        .hasMessageContainingAll("big.bin", "byte order big");
  }
}
