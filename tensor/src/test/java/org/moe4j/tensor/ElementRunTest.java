package org.moe4j.tensor;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** Runs of elements read into targets of other shapes, orders and types. */
class ElementRunTest {
  @TempDir private Path dir;

  private Safetensors file(Tensor t) {
    Path file = dir.resolve("t.safetensors");
    SafetensorsWriter.writeFile(file, List.of(SafetensorsWriter.Item.of("t", t)), Map.of());
    return Safetensors.open(file);
  }

  /** Larger than the buffer along every dimension that can be cut, in each combination of types. */
  @ParameterizedTest
  @EnumSource(
      value = DType.class,
      names = {"F64", "F32", "F16", "BF16"})
  void everyOrderAndType(DType stored) {
    try (Scope scope = Scope.open();
        NoGrad off = NoGrad.open();
        Safetensors in = file(new RandomSource(1).normal(3, 700, 500).to(stored))) {
      Tensor whole = in.load("t");
      for (DType dtype : List.of(DType.F32, DType.F16, DType.BF16)) {
        Tensor turned = Tensor.zeros(dtype, Device.CPU, 500, 3, 700);
        in.loadInto("t", turned.permute(1, 2, 0));
        same(turned.permute(1, 2, 0), whole.to(dtype));

        Tensor run = whole.to(dtype).flatten().narrow(0, 350_123, 600_000);
        Tensor wide = Tensor.zeros(dtype, Device.CPU, 600, 1007);
        in.loadInto("t", 350_123, wide.narrow(1, 3, 1000));
        same(wide.narrow(1, 3, 1000), run.view(600, 1000));
        assertThat(wide.narrow(1, 0, 3).abs().max().item()).isZero();
        assertThat(wide.narrow(1, 1003, 4).abs().max().item()).isZero();

        Tensor flat = Tensor.zeros(dtype, Device.CPU, 600_000);
        in.loadInto("t", 350_123, flat);
        same(flat, run);
      }
    }
  }

  private static void same(Tensor read, Tensor expected) {
    assertThat(read.dtype()).isEqualTo(expected.dtype());
    assertThat(read.shape()).isEqualTo(expected.shape());
    assertThat(read.contiguous().segment().mismatch(expected.contiguous().segment())).isEqualTo(-1);
  }

  @Test
  void numbersEmptyRunsAndShapesWithoutMemory() {
    try (Scope scope = Scope.open();
        Safetensors in = file(Tensor.of(new float[] {1, 2, 3}))) {
      Tensor one = Tensor.scalar(0, DType.F64);
      in.loadInto("t", 2, one);
      assertThat(one.item()).isEqualTo(3);
      in.loadInto("t", 3, Tensor.zeros(0));
      in.loadInto("t", Tensor.empty(DType.F32, Device.META, 3));
      assertThatThrownBy(() -> in.loadInto("t", 2, Tensor.zeros(2)))
          .isInstanceOf(IndexOutOfBoundsException.class);
    }
  }

  /** Rows of codes and scales go where strides place them, whether cut at rows or not. */
  @Test
  void rowsOfBlockScaledWeights() {
    try (Scope scope = Scope.open();
        NoGrad off = NoGrad.open()) {
      int experts = 3;
      int rows = 150;
      int blocks = 20;
      byte[] scales = BlockScaledFiles.bytes(experts * rows * blocks, 1);
      for (int i = 0; i < scales.length; i++) {
        scales[i] = (byte) (110 + (scales[i] & 15));
      }
      Tensor codes = Tensor.of(BlockScaledFiles.bytes(experts * rows * blocks * 16, 2));
      try (Safetensors in =
          BlockScaledFiles.file(
              dir,
              "w_blocks",
              codes.view(experts, rows, blocks, 16),
              "w_scales",
              Tensor.of(scales).view(experts, rows, blocks))) {
        Mxfp4Blocks weight = Mxfp4Blocks.open(in, "w");
        Tensor whole = weight.load(DType.F32);
        Tensor turned = Tensor.zeros(640, 300);
        weight.loadRows(rows, turned.t());
        same(turned.t(), whole.view(450, 640).narrow(0, 150, 300));

        Tensor paired = Tensor.zeros(DType.BF16, Device.CPU, 2, 150, 640);
        weight.loadRows(75, paired.view(2, 75, 2, 640).permute(1, 2, 0, 3));
        same(
            paired.view(2, 75, 2, 640).permute(1, 2, 0, 3),
            whole.to(DType.BF16).view(450, 640).narrow(0, 75, 300).view(75, 2, 2, 640));

        // Slices of 5 elements, 128 of which are a row.
        Tensor narrow = Tensor.zeros(57_600, 7).narrow(1, 1, 5);
        weight.loadRows(0, narrow);
        same(narrow, whole.view(57_600, 5));

        assertThatThrownBy(() -> weight.loadRows(0, Tensor.zeros(7)))
            .isInstanceOf(IllegalArgumentException.class);
        assertThatThrownBy(() -> weight.loadRows(449, Tensor.zeros(2, 640)))
            .isInstanceOf(IndexOutOfBoundsException.class);
      }
    }
  }
}
