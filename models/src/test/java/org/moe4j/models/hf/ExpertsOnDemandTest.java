package org.moe4j.models.hf;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.stream.IntStream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.moe4j.Activation;
import org.moe4j.ExpertForm;
import org.moe4j.MoeOutput;
import org.moe4j.TokenChoice;
import org.moe4j.models.AnswerGenerator;
import org.moe4j.models.EncoderDecoder;
import org.moe4j.models.EncoderDecoderConfig;
import org.moe4j.models.Encoding;
import org.moe4j.models.ExpertCache;
import org.moe4j.models.Sampling;
import org.moe4j.models.hf.HfEncoderDecoder.LoadOptions;
import org.moe4j.models.hf.HfEncoderDecoder.Loaded;
import org.moe4j.tensor.DType;
import org.moe4j.tensor.MoeException;
import org.moe4j.tensor.NoGrad;
import org.moe4j.tensor.Ops;
import org.moe4j.tensor.Scope;
import org.moe4j.tensor.Tensor;

/** Experts that stay on disk: the same numbers in bounded memory (S07, "Works when" 4 to 6). */
class ExpertsOnDemandTest {
  private static final int EXPERTS = 40;
  private static final ExpertForm GATED = new ExpertForm(Activation.GELU_TANH, true, false);
  private static final LoadOptions BF16 =
      LoadOptions.DEFAULT.withDtype(DType.BF16).withoutCapacity();

  @TempDir Path dir;
  private final int threads = Ops.threads();

  @AfterEach
  void restore() {
    Ops.threads(threads);
  }

  private static int[] text(int n) {
    return IntStream.range(0, n).map(i -> 2 + i * i * 7 % 98).toArray();
  }

  private static Tensor ids(int... ids) {
    return Tensor.of(IntStream.of(ids).asLongStream().toArray(), 1, ids.length);
  }

  /** What a model says of a text and how it goes on. */
  private record Said(float[] logits, int[] answer) {}

  private static Said said(EncoderDecoder model) {
    try (Scope scope = Scope.open();
        NoGrad off = NoGrad.open()) {
      Tensor hidden = model.forward(ids(text(60)), ids(0, 5, 9, 33, 71)).hidden();
      float[] logits = model.logits(hidden).toFloats();
      AnswerGenerator generator = new AnswerGenerator(model, Sampling.GREEDY, Set.of());
      return new Said(logits, generator.generate(text(60), 8, t -> true));
    }
  }

  /** ReLU, and the gated GELU of switch-xxl-128. */
  @ParameterizedTest
  @ValueSource(booleans = {false, true})
  void theSameBitsForEveryCacheSizeAndThreads(boolean gated) throws IOException {
    ExpertForm form = gated ? GATED : ExpertForm.RELU;
    EncoderDecoderConfig config = SwitchMini.config(32, 48, EXPERTS, form);
    SwitchMini.write(dir, config, 12);
    assertThat(SwitchMini.files(dir)).isGreaterThanOrEqualTo(12);
    Said whole;
    try (Loaded loaded = HfEncoderDecoder.load(dir, BF16)) {
      assertThat(loaded.model().config().parameters()).isEqualTo(config.parameters());
      whole = said(loaded.model());
    }
    long expert = HfEncoderDecoder.inspect(dir).expertBytes();
    assertThat(expert).isEqualTo(2 * form.parameters(32, 48));
    long all = expert * EXPERTS * 2 * SwitchMini.BLOCKS;
    long[] limits = {0, 0, all / 20, all / 20, all / 5, all};
    int[] threads = {1, 3, 1, 2, 1, 1};
    for (int i = 0; i < limits.length; i++) {
      long limit = limits[i];
      Ops.threads(threads[i]);
      try (Loaded loaded = HfEncoderDecoder.load(dir, BF16.withExpertsOnDemand(limit))) {
        Said lent = said(loaded.model());
        assertThat(lent.logits())
            .as("limit %d, %d threads", limit, threads[i])
            .isEqualTo(whole.logits());
        assertThat(lent.answer()).isEqualTo(whole.answer());
        ExpertCache.Stats stats = loaded.experts().orElseThrow().stats();
        assertThat(stats.mostBytesHeld()).isLessThanOrEqualTo(Math.max(limit, expert));
        assertThat(stats.bytesLoaded()).isEqualTo(expert * stats.loads());
        if (limit == all) {
          assertThat(stats.loads()).isLessThan(EXPERTS * 2L * SwitchMini.BLOCKS);
        }
      }
    }
  }

  /** Also where only one expert has room: rows are sorted by expert. */
  @Test
  void aTextReadsEachOfItsExpertsOncePerLayer() {
    SwitchMini.write(dir, SwitchMini.config(32, 48, EXPERTS, ExpertForm.RELU), 1);
    EncoderDecoderInspection seen = HfEncoderDecoder.inspect(dir);
    for (long limit : new long[] {0, 1L << 40}) {
      try (Loaded loaded = HfEncoderDecoder.load(dir, BF16.withExpertsOnDemand(limit));
          Scope scope = Scope.open();
          NoGrad off = NoGrad.open()) {
        Encoding encoding = loaded.model().encode(ids(text(90)));
        long distinct = 0;
        for (MoeOutput layer : encoding.moe().values()) {
          Set<Long> chosen = new HashSet<>();
          for (long e : ((TokenChoice) layer.routing()).experts().toLongs()) {
            chosen.add(e);
          }
          assertThat(chosen).hasSizeGreaterThan(3);
          distinct += chosen.size();
        }
        ExpertCache.Stats stats = loaded.experts().orElseThrow().stats();
        assertThat(stats.loads()).isEqualTo(distinct);
        assertThat(stats.bytesLoaded()).isEqualTo(distinct * seen.expertBytes());
        assertThat(stats.bytesLoaded()).isLessThanOrEqualTo(seen.bytesPerText(90));
        loaded.model().forward(encoding, ids(0));
        long decoded = loaded.experts().orElseThrow().stats().bytesLoaded() - stats.bytesLoaded();
        assertThat(decoded).isEqualTo(seen.bytesPerToken());
      }
    }
  }

  /** Padding takes no expert: it would be read for nothing. */
  @Test
  void paddingReadsNothing() {
    SwitchMini.write(dir, SwitchMini.config(32, 48, EXPERTS, ExpertForm.RELU), 1);
    try (Loaded loaded = HfEncoderDecoder.load(dir, BF16.withExpertsOnDemand(1 << 20));
        Scope scope = Scope.open();
        NoGrad off = NoGrad.open()) {
      Tensor padded = Tensor.of(new long[] {7, 0, 0, 0, 0, 0, 0, 0}, 1, 8);
      Tensor real = Tensor.of(new long[] {1, 0, 0, 0, 0, 0, 0, 0}, 1, 8);
      loaded.model().encode(padded, real);
      assertThat(loaded.experts().orElseThrow().stats().loads()).isEqualTo(SwitchMini.BLOCKS);
    }
  }

  @Test
  void aFileThatBecomesShorterIsToldAndOneThatIsBackIsRead() throws IOException {
    SwitchMini.write(dir, SwitchMini.config(32, 48, EXPERTS, ExpertForm.RELU), 1);
    Path file = dir.resolve("model.safetensors");
    byte[] bytes = Files.readAllBytes(file);
    try (Loaded loaded = HfEncoderDecoder.load(dir, BF16.withExpertsOnDemand(5_000))) {
      Said before = said(loaded.model());
      try (var channel = Files.newByteChannel(file, StandardOpenOption.WRITE)) {
        channel.truncate(bytes.length / 3);
      }
      assertThatThrownBy(() -> said(loaded.model()))
          .isInstanceOf(MoeException.class)
          .hasMessageContaining(file.toString())
          .hasMessageContaining("became shorter");
      Files.write(file, bytes);
      assertThat(said(loaded.model()).logits()).isEqualTo(before.logits());
    }
  }

  @Test
  void torchShardsToo() {
    try (SwitchFixture fixture = new SwitchFixture("shards");
        Scope scope = Scope.open();
        NoGrad off = NoGrad.open();
        Loaded whole = HfEncoderDecoder.load(fixture.folder);
        Loaded lent =
            HfEncoderDecoder.load(fixture.folder, LoadOptions.DEFAULT.withExpertsOnDemand(1))) {
      Tensor text = fixture.row("prompt.1");
      Tensor answer = fixture.row("decoder.1");
      List<Tensor> both =
          List.of(
              whole.model().forward(text, answer).hidden(),
              lent.model().forward(text, answer).hidden());
      assertThat(both.get(1).toFloats()).isEqualTo(both.get(0).toFloats());
      assertThat(lent.model().parameters().all()).allMatch(p -> p.isFrozen());
    }
  }
}
