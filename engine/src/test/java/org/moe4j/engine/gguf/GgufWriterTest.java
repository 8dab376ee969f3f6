package org.moe4j.engine.gguf;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.moe4j.engine.EngineException;

class GgufWriterTest {
  @TempDir Path folder;

  private static float[] normal(long seed, int n, double scale) {
    Random random = new Random(seed);
    float[] x = new float[n];
    for (int i = 0; i < n; i++) {
      x[i] = (float) (random.nextGaussian() * scale);
    }
    return x;
  }

  @Test
  void theSimpleTypesAreQuantisedByteForByteAsTheReferenceDoes() throws IOException {
    ByteBuffer file =
        ByteBuffer.wrap(Files.readAllBytes(GgufFileTest.resource("quantised.bin")))
            .order(ByteOrder.LITTLE_ENDIAN);
    float[] x = new float[1024];
    file.asFloatBuffer().get(x);
    file.position(4096);
    for (GgmlType type : List.of(GgmlType.F16, GgmlType.BF16, GgmlType.Q8_0, GgmlType.Q4_0)) {
      byte[] stored = new byte[(int) type.bytes(1024)];
      Quantise.row(type, x, 0, 1024, MemorySegment.ofArray(stored), 0);
      byte[] expected = new byte[stored.length];
      file.get(expected);
      assertThat(stored).as(type.label()).isEqualTo(expected);
    }
    assertThat(file.hasRemaining()).isFalse();
  }

  /** The root mean square error of storing {@code x}, relative to its own. */
  private static double error(GgmlType type, float[] x) {
    byte[] stored = new byte[(int) type.bytes(x.length)];
    Quantise.row(type, x, 0, x.length, MemorySegment.ofArray(stored), 0);
    float[] back = new float[x.length];
    Dequantise.row(type, MemorySegment.ofArray(stored), 0, x.length, back, 0);
    double error = 0;
    double size = 0;
    for (int i = 0; i < x.length; i++) {
      error += Math.pow(back[i] - x[i], 2);
      size += Math.pow(x[i], 2);
    }
    return Math.sqrt(error / size);
  }

  @Test
  void moreBitsLoseLess() {
    float[] x = normal(3, 4096, 0.02);
    assertThat(error(GgmlType.Q4_0, x)).isBetween(0.05, 0.12);
    assertThat(error(GgmlType.Q4_K, x)).isBetween(0.03, 0.08);
    assertThat(error(GgmlType.Q4_K, x)).isLessThan(0.85 * error(GgmlType.Q4_0, x));
    assertThat(error(GgmlType.Q6_K, x)).isBetween(0.01, 0.025);
    assertThat(error(GgmlType.Q8_0, x)).isBetween(0.003, 0.008);
    float[] shifted = normal(4, 4096, 0.02);
    for (int i = 0; i < shifted.length; i++) {
      shifted[i] = Math.abs(shifted[i]);
    }
    assertThat(error(GgmlType.Q4_K, shifted)).isLessThan(0.05);
  }

  @Test
  void whatTheFormatHoldsExactlyComesBackExactly() {
    float[] zeros = new float[256];
    float[] steps = new float[256];
    for (int i = 0; i < 256; i++) {
      steps[i] = (i * 7) % 16;
    }
    for (GgmlType type : List.of(GgmlType.Q4_K, GgmlType.Q6_K)) {
      byte[] stored = new byte[(int) type.bytes(256)];
      float[] back = new float[256];
      Quantise.row(type, zeros, 0, 256, MemorySegment.ofArray(stored), 0);
      Dequantise.row(type, MemorySegment.ofArray(stored), 0, 256, back, 0);
      assertThat(back).as(type.label()).containsOnly(0);
    }
    assertThat(error(GgmlType.Q4_K, steps)).isLessThan(2e-3);
  }

  @Test
  void aWrittenFileIsReadBack() {
    Map<String, Object> metadata = new LinkedHashMap<>();
    metadata.put("general.architecture", "test");
    metadata.put("t.whole", 7L);
    metadata.put("t.large", 1L << 40);
    metadata.put("t.number", 0.5);
    metadata.put("t.flag", true);
    metadata.put("t.texts", new String[] {"a", "日本"});
    metadata.put("t.wholes", new long[] {1, -2});
    metadata.put("t.numbers", new double[] {0.25});
    List<GgufWriter.Item> items = new ArrayList<>();
    List<float[]> values = new ArrayList<>();
    for (GgmlType type : Quantise.TYPES) {
      float[] x = normal(type.id(), 3 * 256, 1);
      values.add(x);
      items.add(
          new GgufWriter.Item(
              type.label(),
              type,
              new long[] {256, 3},
              (row, into) -> System.arraycopy(x, (int) row * 256, into, 0, 256)));
    }
    items.add(new GgufWriter.Item("odd", GgmlType.F32, new long[] {3}, (row, into) -> into[2] = 5));
    Path file = folder.resolve("m.gguf");
    long[] last = {0};
    GgufWriter.write(file, metadata, items, done -> last[0] = done);
    try (GgufFile read = GgufFile.open(file)) {
      assertThat(read.metadata().values().keySet()).containsExactlyElementsOf(metadata.keySet());
      assertThat(read.metadata().whole("t.whole")).hasValue(7);
      assertThat(read.metadata().whole("t.large")).hasValue(1L << 40);
      assertThat(read.metadata().number("t.number")).hasValue(0.5);
      assertThat(read.metadata().flag("t.flag")).hasValue(true);
      assertThat(read.metadata().texts("t.texts")).hasValue(List.of("a", "日本"));
      assertThat(read.metadata().wholes("t.wholes").orElseThrow()).containsExactly(1, -2);
      assertThat(read.metadata().numbers("t.numbers").orElseThrow()).containsExactly(0.25);
      assertThat(read.tensor("f32").floats()).containsExactly(values.get(index("f32", items)));
      assertThat(read.tensor("odd").floats()).containsExactly(0, 0, 5);
      assertThat(read.tensor("q4_k").shape()).containsExactly(256, 3);
      assertThat(last[0])
          .isEqualTo(read.tensors().stream().mapToLong(t -> t.data().byteSize()).sum());
    }
  }

  private static int index(String name, List<GgufWriter.Item> items) {
    return items.stream().map(GgufWriter.Item::name).toList().indexOf(name);
  }

  @Test
  void aFailureLeavesTheOldFileAndNothingElse() throws IOException {
    Path file = Files.writeString(folder.resolve("m.gguf"), "old");
    GgufWriter.Item broken =
        new GgufWriter.Item(
            "w",
            GgmlType.Q8_0,
            new long[] {32, 2},
            (row, into) -> into[3] = row == 1 ? Float.NaN : 1);
    assertThatThrownBy(() -> GgufWriter.write(file, Map.of(), List.of(broken), done -> {}))
        .isInstanceOf(EngineException.class)
        .hasMessage("tensor w, row 1: number 3 of a row is NaN");
    GgufWriter.Item unknown =
        new GgufWriter.Item("w", GgmlType.Q3_K, new long[] {256}, (row, into) -> {});
    assertThatThrownBy(() -> GgufWriter.write(file, Map.of(), List.of(unknown), done -> {}))
        .hasMessageContaining("q3_k can be read, not written");
    assertThat(file).hasContent("old");
    try (var files = Files.list(folder)) {
      assertThat(files).containsExactly(file);
    }
  }
}
