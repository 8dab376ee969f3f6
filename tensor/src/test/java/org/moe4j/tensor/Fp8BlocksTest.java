package org.moe4j.tensor;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.nio.file.Path;
import java.util.Random;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;

class Fp8BlocksTest {
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

  private static Tensor codes(byte[] bytes, long... shape) {
    return Tensor.of(bytes, shape).bitsAs(DType.F8_E4M3);
  }

  private static float[] random(int count) {
    Random random = new Random(count);
    float[] out = new float[count];
    for (int i = 0; i < count; i++) {
      out[i] = (float) random.nextGaussian() * (1 << random.nextInt(20));
    }
    return out;
  }

  /** The double loop: a product of 4 and 24 significant bits is exact in F64, so rounds once. */
  private static float[] plain(byte[] codes, float[] scales, int m, int r, int c, int br, int bc) {
    float[] out = new float[codes.length];
    int gridRows = (r + br - 1) / br;
    int gridColumns = (c + bc - 1) / bc;
    for (int e = 0; e < m; e++) {
      for (int i = 0; i < r; i++) {
        for (int j = 0; j < c; j++) {
          int at = (e * r + i) * c + j;
          int code = codes[at] & 0x7F;
          double size =
              code == 0x7F
                  ? Double.NaN
                  : code < 8 ? code / 512.0 : (8 + code % 8) * Math.pow(2, code / 8 - 10);
          double scale = scales[(e * gridRows + i / br) * gridColumns + j / bc];
          out[at] = (float) ((codes[at] < 0 ? -size : size) * scale);
        }
      }
    }
    return out;
  }

  @ParameterizedTest
  @CsvSource({
    "1, 300, 200, 128, 128", // ragged at both edges, several pieces
    "1, 136, 160, 128, 128",
    "1, 576, 256, 128, 128",
    "1, 1, 70001, 128, 128", // a row longer than a piece
    "1, 3, 66000, 2, 131",
    "1, 70001, 1, 128, 128",
    "3, 33, 70, 16, 32", // matrices of their own grids
    "5, 300, 130, 128, 128",
    "1, 20, 20, 1000000, 1000000",
    "1, 17, 19, 1, 1"
  })
  void isTheFormula(int m, int r, int c, int br, int bc) {
    byte[] codes = BlockScaledFiles.bytes(m * r * c, 3);
    int gridRows = (r + br - 1) / br;
    int gridColumns = (c + bc - 1) / bc;
    float[] scales = random(m * gridRows * gridColumns);
    long[] shape = m == 1 ? new long[] {r, c} : new long[] {m, r, c};
    long[] grid =
        m == 1 ? new long[] {gridRows, gridColumns} : new long[] {m, gridRows, gridColumns};
    float[] expected = plain(codes, scales, m, r, c, br, bc);
    try (Safetensors in =
        BlockScaledFiles.file(
            dir, "w.weight", codes(codes, shape), "w.weight_scale_inv", Tensor.of(scales, grid))) {
      Fp8Blocks weight = Fp8Blocks.open(in, "w.weight", br, bc);
      assertThat(weight.shape()).isEqualTo(shape);
      assertThat(weight.storedNames()).containsExactly("w.weight", "w.weight_scale_inv");
      BlockScaledFiles.isExactly(weight, expected);
      BlockScaledFiles.isExactlyTransposed(weight, expected);
    }
  }

  @Test
  void extremeScalesOverflowAndStaySubnormal() {
    byte[] codes = BlockScaledFiles.bytes(4 * 256, 1);
    for (int i = 0; i < codes.length; i++) {
      codes[i] = (byte) i;
    }
    float[] scales = {Float.MAX_VALUE, 0x1p-140f, -0f, -0x1.234568p-126f};
    try (Safetensors in =
        BlockScaledFiles.file(
            dir, "w", codes(codes, 4, 256), "w_scale_inv", Tensor.of(scales, 4, 1))) {
      float[] expected = plain(codes, scales, 1, 4, 256, 1, 256);
      assertThat(expected[0x7E]).isInfinite();
      assertThat(expected[256 + 0x7E]).isBetween(0x1p-132f, 0x1p-131f);
      BlockScaledFiles.isExactly(Fp8Blocks.open(in, "w", 1, 256), expected);
    }
  }

  @ParameterizedTest
  @EnumSource(names = {"F32", "BF16", "F16", "F8_E8M0"})
  void scalesOfEveryType(DType dtype) {
    byte[] codes = BlockScaledFiles.bytes(24 * 40, 5);
    float[] scales = {0.25f, 2, 0x1p-9f, 8, 1, 64};
    try (Safetensors in =
        BlockScaledFiles.file(
            dir, "w", codes(codes, 24, 40), "w_scale_inv", Tensor.of(scales, 2, 3).to(dtype))) {
      BlockScaledFiles.isExactly(
          Fp8Blocks.open(in, "w", 16, 16), plain(codes, scales, 1, 24, 40, 16, 16));
    }
  }

  private void refused(Tensor codes, Tensor scales, String message) {
    try (Safetensors in = BlockScaledFiles.file(dir, "a.w", codes, "a.w_scale_inv", scales)) {
      Tensor target = Tensor.full(7, DType.F32, Device.CPU, 4, 6);
      assertThatThrownBy(() -> Fp8Blocks.open(in, "a.w", 4, 4).loadInto(target))
          .isInstanceOf(MoeException.class)
          .hasMessage(in.path() + ": " + message);
      assertThat(target.toFloats()).containsOnly(7);
    }
  }

  @Test
  void badScalesAreNamed() {
    Tensor codes = codes(new byte[24], 4, 6);
    refused(
        codes,
        Tensor.zeros(2, 1),
        "tensor a.w_scale_inv has shape [2, 1], expected [1, 2] for codes [4, 6]");
    refused(
        codes,
        Tensor.zeros(DType.I32, Device.CPU, 1, 2),
        "tensor a.w_scale_inv is I32, expected F32 or BF16 or F16 or F8_E8M0");
    refused(
        codes,
        Tensor.of(new float[] {1, Float.NaN}, 1, 2),
        "tensor a.w_scale_inv has the scale NaN at element 1");
    refused(
        codes,
        Tensor.of(new float[] {Float.NEGATIVE_INFINITY, 1}, 1, 2),
        "tensor a.w_scale_inv has the scale -Infinity at element 0");
    refused(
        codes,
        Tensor.of(new byte[] {(byte) 255, 1}, 1, 2).bitsAs(DType.F8_E8M0),
        "tensor a.w_scale_inv has the scale NaN at element 0");
    refused(
        Tensor.zeros(DType.U8, Device.CPU, 4, 6),
        Tensor.zeros(1, 2),
        "tensor a.w is U8, expected F8_E4M3");
    refused(
        codes(new byte[24], 24),
        Tensor.zeros(1, 2),
        "tensor a.w has shape [24], expected 2 sizes above 0");
    refused(
        codes(new byte[0], 0, 6),
        Tensor.zeros(0, 2),
        "tensor a.w has shape [0, 6], expected 2 sizes above 0");
  }

  @Test
  void badRequestsAreNamed() {
    try (Safetensors in =
        BlockScaledFiles.file(
            dir,
            "w",
            codes(new byte[24], 4, 6),
            "w_scale_inv",
            Tensor.zeros(1, 1),
            "alone",
            codes(new byte[4], 2, 2))) {
      assertThatThrownBy(() -> Fp8Blocks.open(in, "alone", 8, 8))
          .hasMessage(
              in.path() + ": tensor alone has no scales: there is no tensor alone_scale_inv");
      assertThatThrownBy(() -> Fp8Blocks.open(in, "gone", 8, 8))
          .hasMessage(in.path() + ": no tensor gone");
      assertThatThrownBy(() -> Fp8Blocks.open(in, "w", 0, 8))
          .hasMessage(in.path() + ": tensor w cannot have blocks of 0 x 8 elements");
      Fp8Blocks weight = Fp8Blocks.open(in, "w", 8, 8);
      assertThatThrownBy(() -> weight.loadInto(Tensor.zeros(6, 4)))
          .hasMessage(in.path() + ": tensor w holds [4, 6], not [6, 4]");
      assertThatThrownBy(() -> weight.load(DType.F16))
          .hasMessage(in.path() + ": tensor w is read as F32 or BF16, not as F16");
    }
  }
}
