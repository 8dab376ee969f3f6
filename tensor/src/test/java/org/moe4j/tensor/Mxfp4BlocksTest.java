package org.moe4j.tensor;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.nio.file.Path;
import java.util.stream.LongStream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class Mxfp4BlocksTest {
  private static final double[] SIZES = {0, 0.5, 1, 1.5, 2, 3, 4, 6};

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

  /** Scale bytes of all values but 255. */
  private static byte[] scales(int count) {
    byte[] bytes = BlockScaledFiles.bytes(count, 9);
    for (int i = 0; i < count; i++) {
      bytes[i] = bytes[i] == -1 ? 127 : bytes[i];
    }
    return bytes;
  }

  private static float[] plain(byte[] codes, byte[] scales) {
    float[] out = new float[codes.length * 2];
    for (int i = 0; i < out.length; i++) {
      int code = (i % 2 == 0 ? codes[i / 2] : codes[i / 2] >> 4) & 15;
      double scale = Math.pow(2, (scales[i / 32] & 0xFF) - 127);
      out[i] = (float) ((code < 8 ? SIZES[code] : -SIZES[code - 8]) * scale);
    }
    return out;
  }

  private Safetensors file(byte[] codes, byte[] scales, DType scaleType, long... grid) {
    long[] shape = LongStream.concat(LongStream.of(grid), LongStream.of(16)).toArray();
    return BlockScaledFiles.file(
        dir,
        "mlp.up_blocks",
        Tensor.of(codes, shape),
        "mlp.up_scales",
        Tensor.of(scales, grid).bitsAs(scaleType));
  }

  @ParameterizedTest
  @CsvSource({
    "1, 300, 5",
    "4, 64, 2",
    "3, 700, 3",
    "2, 2, 2051",
    "1, 1, 4100",
    "5000, 1, 1",
    "7, 6000, 1"
  })
  void isTheFormula(int experts, int rows, int blocks) {
    int count = experts * rows * blocks;
    byte[] codes = BlockScaledFiles.bytes(count * 16, 2);
    byte[] scales = scales(count);
    float[] expected = plain(codes, scales);
    try (Safetensors in = file(codes, scales, DType.U8, experts, rows, blocks)) {
      Mxfp4Blocks weight = Mxfp4Blocks.open(in, "mlp.up");
      assertThat(weight.shape()).containsExactly(experts, rows, blocks * 32L);
      assertThat(weight.storedNames()).containsExactly("mlp.up_blocks", "mlp.up_scales");
      BlockScaledFiles.isExactly(weight, expected);
      BlockScaledFiles.isExactlyTransposed(weight, expected);
    }
  }

  /** Every scale byte but 255 with every code, of either half of a byte. */
  @Test
  void everyScaleWithEveryCode() {
    byte[] codes = new byte[255 * 16];
    byte[] scales = new byte[255];
    for (int i = 0; i < codes.length; i++) {
      codes[i] = (byte) (i % 16 | (15 - i % 16) << 4);
      scales[i / 16] = (byte) (i / 16);
    }
    float[] expected = plain(codes, scales);
    assertThat(expected[2]).isEqualTo(0x1p-128f);
    assertThat(expected[254 * 32 + 6]).isEqualTo(0x1.8p127f);
    assertThat(expected[254 * 32 + 8]).isInfinite();
    for (DType type : new DType[] {DType.U8, DType.F8_E8M0}) {
      try (Safetensors in = file(codes, scales, type, 1, 255, 1)) {
        BlockScaledFiles.isExactly(Mxfp4Blocks.open(in, "mlp.up"), expected);
      }
    }
  }

  @Test
  void aNanScaleIsNamedAndTheTargetUntouched() {
    byte[] scales = new byte[70_000];
    scales[69_999] = -1;
    try (Safetensors in = file(new byte[scales.length * 16], scales, DType.U8, 1, 70_000, 1)) {
      Mxfp4Blocks weight = Mxfp4Blocks.open(in, "mlp.up");
      Tensor target = Tensor.full(7, DType.BF16, Device.CPU, weight.shape());
      assertThatThrownBy(() -> weight.loadInto(target))
          .isInstanceOf(MoeException.class)
          .hasMessage(
              in.path() + ": tensor mlp.up_scales has the scale NaN (byte 255) at element 69999");
      assertThat(target.toFloats()).containsOnly(7);
    }
  }

  private void refused(Tensor codes, Tensor scales, String message) {
    try (Safetensors in = BlockScaledFiles.file(dir, "w_blocks", codes, "w_scales", scales)) {
      assertThatThrownBy(() -> Mxfp4Blocks.open(in, "w"))
          .isInstanceOf(MoeException.class)
          .hasMessage(in.path() + ": " + message);
    }
  }

  @Test
  void badTensorsAreNamed() {
    Tensor codes = Tensor.zeros(DType.U8, Device.CPU, 2, 3, 16);
    refused(
        codes,
        Tensor.zeros(DType.U8, Device.CPU, 3, 2),
        "tensor w_scales has shape [3, 2], expected [2, 3] for codes [2, 3, 16]");
    refused(codes, Tensor.zeros(2, 3), "tensor w_scales is F32, expected U8 or F8_E8M0");
    refused(
        Tensor.zeros(DType.U8, Device.CPU, 2, 3, 8),
        Tensor.zeros(DType.U8, Device.CPU, 2, 3),
        "tensor w_blocks has shape [2, 3, 8], expected [.., n, 16]");
    refused(
        Tensor.zeros(DType.I8, Device.CPU, 2, 3, 16),
        Tensor.zeros(DType.U8, Device.CPU, 2, 3),
        "tensor w_blocks is I8, expected U8");
    refused(
        Tensor.zeros(DType.U8, Device.CPU, 3, 16),
        Tensor.zeros(DType.U8, Device.CPU, 3),
        "tensor w_blocks has shape [3, 16], expected 3 sizes above 0");
    try (Safetensors in = BlockScaledFiles.file(dir, "w_blocks", codes)) {
      assertThatThrownBy(() -> Mxfp4Blocks.open(in, "w"))
          .hasMessage(in.path() + ": tensor w_blocks has no scales: there is no tensor w_scales");
      assertThatThrownBy(() -> Mxfp4Blocks.open(in, "x"))
          .hasMessage(in.path() + ": no tensor x_blocks");
    }
  }
}
