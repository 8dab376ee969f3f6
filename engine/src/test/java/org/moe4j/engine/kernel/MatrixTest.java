package org.moe4j.engine.kernel;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.lang.foreign.Arena;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.moe4j.engine.gguf.GgmlType;
import org.moe4j.engine.gguf.GgufTensor;

class MatrixTest {
  private static final int ROWS = 150;
  private static final int BATCH = 37;

  private static Activations activations(int columns, int rows) {
    Random random = new Random(6);
    Activations x = new Activations(columns);
    x.reserve(rows);
    for (int r = 0; r < rows; r++) {
      for (int c = 0; c < columns; c++) {
        x.values()[x.at(r) + c] = (float) (random.nextGaussian() * (r == 3 ? 0 : 1 + r));
      }
      x.quantise(r);
    }
    return x;
  }

  /** More columns than are unpacked at once, and more rows of x than are multiplied at once. */
  @ParameterizedTest
  @EnumSource(names = {"F16", "Q6_K"})
  void wideMatricesAndLargeBatchesTakeSeveralPasses(GgmlType type) {
    int columns = type == GgmlType.F16 ? 4109 : 4352;
    GgufTensor stored = RandomBlocks.tensor(type, columns, 7, 1);
    float[] weights = stored.floats();
    Activations x = activations(columns, 150);
    try (Arena arena = Arena.ofConfined()) {
      float[][] all = product(new Packing(arena, false).pack(stored, 0, 7), x, 150);
      for (int i = 0; i < 150; i++) {
        for (int r = 0; r < 7; r++) {
          float[] partials = new float[16];
          for (int c = 0; c < columns; c++) {
            float w = weights[r * columns + c];
            partials[c % 16] = Math.fma(w, x.values()[x.at(i) + c], partials[c % 16]);
          }
          for (int apart = 8; apart > 0; apart /= 2) {
            for (int p = 0; p < apart; p++) {
              partials[p] += partials[p + apart];
            }
          }
          assertThat(all[i][r]).isEqualTo(partials[0]);
        }
      }
    }
  }

  /** The product of all panels with the first {@code count} rows of x, in the order of rows. */
  private static float[][] product(Matrix w, Activations x, int count) {
    int[] rows = IntStream.range(0, count).toArray();
    float[][] all = new float[count][w.rows()];
    float[] out = new float[count * Matrix.PANEL];
    for (int p = 0; p < w.panels(); p++) {
      w.multiply(p, x, rows, 0, count, out);
      for (int i = 0; i < count; i++) {
        int n = Math.min(Matrix.PANEL, w.rows() - p * Matrix.PANEL);
        System.arraycopy(out, i * Matrix.PANEL, all[i], p * Matrix.PANEL, n);
      }
    }
    return all;
  }

  static Stream<Arguments> matrices() {
    return Arrays.stream(GgmlType.values())
        .flatMap(
            type ->
                type == GgmlType.Q4_0
                    ? Stream.of(Arguments.of(type, false), Arguments.of(type, true))
                    : Stream.of(Arguments.of(type, false)));
  }

  /** Few whole blocks; part of a vector more where a type allows it. */
  private static int columns(GgmlType type) {
    return switch (type.block()) {
      case 1 -> 83;
      case 32 -> 96;
      default -> 512;
    };
  }

  @ParameterizedTest
  @MethodSource("matrices")
  void productIsThatOfADoubleLoop(GgmlType type, boolean exact) {
    int columns = columns(type);
    GgufTensor stored = RandomBlocks.tensor(type, columns, ROWS, 2);
    float[] weights = stored.floats();
    Activations x = activations(columns, BATCH);
    try (Arena arena = Arena.ofConfined()) {
      Matrix w = new Packing(arena, exact).pack(stored, 1, ROWS);
      assertThat(w.eightBit()).isEqualTo(type == GgmlType.Q4_0 && !exact);
      float[][] all = product(w, x, BATCH);
      for (int i = 0; i < BATCH; i++) {
        for (int r = 0; r < ROWS; r++) {
          double sum = 0;
          double size = 1e-9;
          for (int c = 0; c < columns; c++) {
            float value = x.values()[x.at(i) + c];
            double a = w.eightBit() ? rounded(x, i, c) : value;
            double term = a * weights[((ROWS + r) * columns) + c];
            sum += term;
            size += Math.abs(term);
          }
          assertThat((double) all[i][r]).isCloseTo(sum, within(2e-6 * size));
        }
      }
    }
  }

  /** What 8 bits make of a number: 127 steps to the largest of its block, the step in f16. */
  private static double rounded(Activations x, int row, int c) {
    double most = 0;
    for (int i = c / 32 * 32; i < c / 32 * 32 + 32; i++) {
      most = Math.max(most, Math.abs(x.values()[x.at(row) + i]));
    }
    float scale = Float.float16ToFloat(Float.floatToFloat16((float) (most / 127)));
    return most == 0 ? 0 : Math.rint(x.values()[x.at(row) + c] * (127 / most)) * scale;
  }

  @ParameterizedTest
  @EnumSource
  void bitsDoNotDependOnHowManyRowsThereAreAtOnce(GgmlType type) {
    int columns = columns(type);
    Activations x = activations(columns, BATCH);
    try (Arena arena = Arena.ofConfined()) {
      Matrix w =
          new Packing(arena, false).pack(RandomBlocks.tensor(type, columns, ROWS, 1), 0, ROWS);
      float[][] all = product(w, x, BATCH);
      for (int count : new int[] {1, 2, 3, 4, 5, 6, 7, 33}) {
        float[][] some = product(w, x, count);
        for (int i = 0; i < count; i++) {
          assertThat(some[i]).containsExactly(all[i]);
        }
      }
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"512", "256", "128", "none"})
  void everyWidthOfVectorGivesTheSameBits(String bits) throws Exception {
    List<String> command =
        new ArrayList<>(
            List.of(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "-cp",
                System.getProperty("java.class.path")));
    if (!bits.equals("none")) {
      command.addAll(List.of("--add-modules=jdk.incubator.vector", "-Dmoe4j.vector.bits=" + bits));
    }
    command.add("-Dmoe4j.kernels=vector");
    command.add(MatrixTest.class.getName());
    Process process =
        new ProcessBuilder(command).redirectError(ProcessBuilder.Redirect.DISCARD).start();
    String printed =
        new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8).strip();
    assertThat(process.waitFor()).isZero();
    assertThat(printed)
        .isEqualTo((bits.equals("none") ? "FloatScalars " : "FloatVectors ") + sum());
  }

  private static int sum() {
    int sum = 0;
    try (Arena arena = Arena.ofConfined()) {
      for (GgmlType type : GgmlType.values()) {
        Activations x = activations(columns(type), BATCH);
        GgufTensor stored = RandomBlocks.tensor(type, columns(type), ROWS, 1);
        Matrix w = new Packing(arena, false).pack(stored, 0, ROWS);
        sum = 31 * sum + Arrays.deepHashCode(product(w, x, 3));
        sum = 31 * sum + Arrays.deepHashCode(product(w, x, BATCH));
      }
    }
    return sum;
  }

  /** Prints which loops this process has and what they give. */
  public static void main(String[] args) {
    System.out.println(KernelChoice.FLOATS.getClass().getSimpleName() + " " + sum());
  }
}
