package org.moe4j.tensor;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.net.URISyntaxException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class SafetensorsTest {
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

  private static Path fixture(String name) throws URISyntaxException {
    return Path.of(SafetensorsTest.class.getResource("/safetensors/" + name).toURI());
  }

  private static void isTheFixture(Safetensors in) {
    assertThat(in.names()).hasSize(DType.values().length + 3);
    assertThat(in.metadata()).isEqualTo(SafetensorsFixture.METADATA);
    for (DType d : DType.values()) {
      Tensor t = in.load(d.label());
      assertThat(t.dtype()).isEqualTo(d);
      assertThat(t.shape()).isEqualTo(SafetensorsFixture.shape(d));
      assertThat(t.toDoubles()).isEqualTo(SafetensorsFixture.values(d));
    }
    assertThat(in.load("scalar").shape()).isEmpty();
    assertThat(in.load("scalar").item()).isEqualTo(2.5);
    assertThat(in.load("empty").shape()).containsExactly(0, 3);
    assertThat(in.load("größe \uD83D\uDC0D").toLongs()).containsExactly(7);
  }

  @Test
  void readsWhatPythonWrote() throws Exception {
    try (Safetensors in = Safetensors.open(fixture("from_python.safetensors"))) {
      isTheFixture(in);
    }
  }

  @Test
  void writesTheBytesThatPythonRead() throws Exception {
    Path file = dir.resolve("x.safetensors");
    SafetensorsWriter.writeFile(file, SafetensorsFixture.items(), SafetensorsFixture.METADATA);
    assertThat(Files.readAllBytes(file))
        .isEqualTo(Files.readAllBytes(fixture("from_moe4j.safetensors")));
    try (Safetensors in = Safetensors.open(file)) {
      isTheFixture(in);
    }
  }

  @Test
  void valuesAreAligned() throws IOException {
    Path file = dir.resolve("x.safetensors");
    SafetensorsWriter.writeFile(
        file,
        List.of(
            SafetensorsWriter.Item.of("a", Tensor.of(new byte[] {1, 2, 3})),
            SafetensorsWriter.Item.of("b", Tensor.of(new double[] {4}))),
        Map.of());
    try (Safetensors in = Safetensors.open(file)) {
      assertThat(in.segment("b").address() % 8).isZero();
      assertThat(in.segment("b").get(ValueLayout.JAVA_DOUBLE, 0)).isEqualTo(4);
    }
  }

  @Test
  void aSegmentIsReadOnlyAndEndsWithTheFile() {
    Path file = dir.resolve("x.safetensors");
    SafetensorsWriter.writeFile(
        file, List.of(SafetensorsWriter.Item.of("a", Tensor.of(new byte[] {5}))), Map.of());
    MemorySegment segment;
    try (Safetensors in = Safetensors.open(file)) {
      segment = in.segment("a");
      assertThat(segment.isReadOnly()).isTrue();
    }
    assertThatThrownBy(() -> segment.get(ValueLayout.JAVA_BYTE, 0))
        .isInstanceOf(IllegalStateException.class);
  }

  @Test
  void loadsIntoExistingMemoryAndConverts() throws Exception {
    try (Safetensors in = Safetensors.open(fixture("from_python.safetensors"))) {
      Tensor stack = Tensor.zeros(2, 2, 3);
      in.loadInto("F32", stack.select(0, 0));
      in.loadInto("BF16", stack.select(0, 1));
      double[] once = SafetensorsFixture.values(DType.F32);
      assertThat(stack.select(0, 0).toDoubles()).isEqualTo(once);
      assertThat(stack.select(0, 1).toDoubles()).isEqualTo(once);
      assertThatThrownBy(() -> in.loadInto("F32", Tensor.zeros(3, 2)))
          .isInstanceOf(MoeException.class)
          .hasMessageContainingAll("from_python", "F32", "[2, 3]", "[3, 2]");
      assertThatThrownBy(() -> in.load("nobody")).hasMessageContaining("no tensor nobody");
    }
  }

  private static List<SafetensorsWriter.Item> numbered(int count, double value) {
    return Stream.iterate(0, i -> i + 1)
        .limit(count)
        .map(i -> SafetensorsWriter.Item.of("t" + i, Tensor.full(value, DType.F32, Device.CPU, 4)))
        .toList();
  }

  private List<String> files() throws IOException {
    try (Stream<Path> all = Files.list(dir)) {
      return all.map(f -> f.getFileName().toString()).sorted().toList();
    }
  }

  private void hasValues(double value, int count) {
    try (Safetensors in = Safetensors.open(dir)) {
      assertThat(in.names()).hasSize(count);
      for (String name : in.names()) {
        assertThat(in.load(name).toDoubles()).containsOnly(value);
      }
    }
  }

  @Test
  void shardsByTheLargestSizeAndReplacesAnOldSet() throws IOException {
    SafetensorsWriter.writeFolder(dir, numbered(5, 1), Map.of(), 32);
    assertThat(files())
        .containsExactly(
            "model-00001-of-00003.safetensors",
            "model-00002-of-00003.safetensors",
            "model-00003-of-00003.safetensors",
            "model.safetensors.index.json");
    hasValues(1, 5);
    SafetensorsWriter.writeFolder(dir, numbered(6, 2), Map.of(), 32);
    assertThat(files()).hasSize(4).allMatch(f -> f.startsWith("model"));
    hasValues(2, 6);
    SafetensorsWriter.writeFolder(dir, numbered(2, 3), Map.of(), 1000);
    assertThat(files()).containsExactly("model.safetensors");
    hasValues(3, 2);
    SafetensorsWriter.writeFolder(dir, numbered(4, 4), Map.of(), 32);
    assertThat(files()).hasSize(3);
    hasValues(4, 4);
  }

  @Test
  void theOldSetStaysWhenTheNewOneFails() throws IOException {
    SafetensorsWriter.writeFolder(dir, numbered(4, 1), Map.of(), 32);
    List<String> before = files();
    StoredTensor bad = new StoredTensor("bad", DType.F32, List.of(4L));
    List<SafetensorsWriter.Item> items = new ArrayList<>(numbered(4, 2));
    items.add(
        new SafetensorsWriter.Item(
            bad,
            () -> {
              throw new MoeException("no values");
            }));
    assertThatThrownBy(() -> SafetensorsWriter.writeFolder(dir, items, Map.of(), 32))
        .hasMessage("no values");
    assertThat(files()).isEqualTo(before);
    hasValues(1, 4);
  }

  @Test
  void aFailedWriteLeavesTheOldFileAndOneLine() throws IOException {
    Path file = dir.resolve("config.json");
    AtomicFile.write(file, new byte[] {1, 2});
    assertThatThrownBy(
            () ->
                AtomicFile.write(
                    file,
                    out -> {
                      AtomicFile.writeAll(out, ByteBuffer.allocate(100));
                      throw new IOException("No space left on device");
                    }))
        .isInstanceOf(MoeException.class)
        .hasMessageContainingAll("config.json", "No space left", "free some space");
    assertThat(Files.readAllBytes(file)).containsExactly(1, 2);
    assertThat(files()).containsExactly("config.json");
  }
}
