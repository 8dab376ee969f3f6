package org.moe4j.models.hf;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.io.RandomAccessFile;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.concurrent.atomic.AtomicLong;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;
import org.moe4j.ExpertForm;
import org.moe4j.ParameterStore;
import org.moe4j.Role;
import org.moe4j.models.AnswerGenerator;
import org.moe4j.models.EncoderDecoder;
import org.moe4j.models.EncoderDecoderConfig;
import org.moe4j.models.ExpertCache;
import org.moe4j.models.Sampling;
import org.moe4j.models.hf.HfEncoderDecoder.LoadOptions;
import org.moe4j.models.hf.HfEncoderDecoder.Loaded;
import org.moe4j.tensor.DType;
import org.moe4j.tensor.NativeMemory;
import org.moe4j.tensor.RandomSource;
import org.moe4j.tensor.Scope;
import org.moe4j.tensor.Tensor;

/**
 * A checkpoint of 20 GB whose experts are a hole in a sparse file (they read as zeros): it opens
 * and answers in a few hundred megabytes.
 */
class SparseCheckpointTest {
  private static final long MEGABYTE = 1 << 20;

  @TempDir Path dir;

  /** Values of all but the experts; these come behind, where nothing is written. */
  private static long write(Path file, EncoderDecoderConfig config) throws IOException {
    List<DiskTensor> tensors;
    try (EncoderDecoder model = new EncoderDecoder(config, ParameterStore.shapes(DType.BF16))) {
      tensors = new ArrayList<>(SwitchNames.of(model, "lm_head.weight").list());
    }
    tensors.sort((a, b) -> Boolean.compare(expert(a), expert(b)));
    StringBuilder header = new StringBuilder("{");
    long end = 0;
    for (DiskTensor e : tensors) {
      long bytes = 2 * e.elements();
      header.append(header.length() == 1 ? "" : ",");
      header.append(
          "\"%s\":{\"dtype\":\"BF16\",\"shape\":%s,\"data_offsets\":[%d,%d]}"
              .formatted(e.name(), e.shape(), end, end + bytes));
      end += bytes;
    }
    header.append("}").append(" ".repeat((8 - (header.length() + 1) % 8) % 8));
    byte[] json = header.toString().getBytes(StandardCharsets.UTF_8);
    RandomSource random = new RandomSource(3);
    try (RandomAccessFile out = new RandomAccessFile(file.toFile(), "rw")) {
      ByteBuffer length = ByteBuffer.allocate(8).order(ByteOrder.LITTLE_ENDIAN);
      out.write(length.putLong(json.length).array());
      out.write(json);
      for (DiskTensor e : tensors) {
        if (!expert(e)) {
          try (Scope scope = Scope.open()) {
            long[] shape = e.shape().stream().mapToLong(n -> n).toArray();
            Tensor values = random.normal(0, 0.1, DType.F32, shape).to(DType.BF16);
            out.write(values.segment().toArray(ValueLayout.JAVA_BYTE));
          }
        }
      }
      out.setLength(8 + json.length + end);
    }
    return end;
  }

  private static boolean expert(DiskTensor t) {
    return t.parts().getFirst().parameter().role() instanceof Role.RoutedExperts;
  }

  @Test
  @EnabledOnOs(OS.LINUX)
  void twentyGigabytesInAFewHundredMegabytes() throws IOException {
    EncoderDecoderConfig config = SwitchMini.config(512, 8192, 210, ExpertForm.RELU);
    Path file = dir.resolve("model.safetensors");
    long bytes = write(file, config);
    assertThat(bytes).isGreaterThan(20_000_000_000L);
    SwitchMini.describe(dir, config);
    EncoderDecoderInspection seen = HfEncoderDecoder.inspect(dir);
    assertThat(seen.bytes().get("total")).isEqualTo(bytes);
    long expert = seen.expertBytes();
    assertThat(expert).isEqualTo(2 * 2 * 512 * 8192L);
    long limit = 4 * expert;
    LoadOptions options = LoadOptions.DEFAULT.withDtype(DType.BF16).withExpertsOnDemand(limit);
    long before = NativeMemory.resident();
    try (Loaded loaded = HfEncoderDecoder.load(dir, options)) {
      AtomicLong most = new AtomicLong();
      AnswerGenerator generator =
          new AnswerGenerator(loaded.model().withPrecision(DType.BF16), Sampling.GREEDY, Set.of());
      int[] text = IntStream.range(2, 12).toArray();
      int[] answer =
          generator.generate(
              text,
              4,
              token -> {
                most.accumulateAndGet(NativeMemory.resident(), Math::max);
                return true;
              });
      assertThat(answer).hasSize(4);
      ExpertCache.Stats stats = loaded.experts().orElseThrow().stats();
      assertThat(stats.loads()).isBetween(15L, 3 * 10 + 3 * 4L);
      assertThat(stats.mostBytesHeld()).isLessThanOrEqualTo(limit);
      assertThat(most.get() - before).isLessThan(limit + seen.residentBytes() + 300 * MEGABYTE);
    }
    assertThat(Files.size(file)).isGreaterThan(bytes);
  }
}
