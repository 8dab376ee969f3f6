package org.moe4j.tensor;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Random;

/** Files of low-bit weights, and comparison of patterns (all NaN being equal). */
final class BlockScaledFiles {
  private BlockScaledFiles() {}

  /** {@code count} bytes, the first 256 of them every value once. */
  static byte[] bytes(int count, long seed) {
    byte[] bytes = new byte[count];
    new Random(seed).nextBytes(bytes);
    for (int i = 0; i < Math.min(256, count); i++) {
      bytes[i] = (byte) i;
    }
    return bytes;
  }

  /** Writes names and tensors in turn. */
  static Safetensors file(Path dir, Object... namesAndTensors) {
    List<SafetensorsWriter.Item> items = new ArrayList<>();
    for (int i = 0; i < namesAndTensors.length; i += 2) {
      items.add(
          SafetensorsWriter.Item.of((String) namesAndTensors[i], (Tensor) namesAndTensors[i + 1]));
    }
    Path file = dir.resolve("weights.safetensors");
    SafetensorsWriter.writeFile(file, items, Map.of());
    return Safetensors.open(file);
  }

  static void isExactly(BlockScaled weight, float[] expected) {
    assertThat(patterns(weight.load(DType.F32).toFloats())).isEqualTo(patterns(expected));
    float[] rounded = Tensor.of(expected).to(DType.BF16).toFloats();
    assertThat(patterns(weight.load(DType.BF16).toFloats())).isEqualTo(patterns(rounded));
  }

  /** Fills a target whose last two dimensions are swapped in memory. */
  static void isExactlyTransposed(BlockScaled weight, float[] expected) {
    for (DType dtype : List.of(DType.F32, DType.BF16)) {
      long[] shape = weight.shape().clone();
      int last = shape.length - 1;
      long columns = shape[last];
      shape[last] = shape[last - 1];
      shape[last - 1] = columns;
      Tensor memory = Tensor.zeros(dtype, Device.CPU, shape);
      weight.loadInto(memory.transpose(last - 1, last));
      assertThat(patterns(memory.transpose(last - 1, last).toFloats()))
          .isEqualTo(patterns(Tensor.of(expected).to(dtype).toFloats()));
    }
  }

  private static int[] patterns(float[] values) {
    int[] out = new int[values.length];
    for (int i = 0; i < out.length; i++) {
      out[i] = Float.floatToIntBits(values[i]);
    }
    return out;
  }
}
