package org.moe4j.models.hf;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.moe4j.BalanceRegistry;
import org.moe4j.BalanceTerm;
import org.moe4j.Capacity;
import org.moe4j.ExpertForm;
import org.moe4j.Grouping;
import org.moe4j.InitScheme;
import org.moe4j.MoeConfig;
import org.moe4j.models.AttentionConfig;
import org.moe4j.models.Decoder;
import org.moe4j.models.DecoderConfig;
import org.moe4j.models.FeedForwardConfig;
import org.moe4j.models.Tiny;

/** What {@code config.json} of our own layout must not lose. */
class Moe4jConfigsTest {
  @TempDir Path dir;

  private void comesBack(MoeConfig.Builder moe) throws Exception {
    comesBack(new FeedForwardConfig.Moe(moe.build()));
  }

  private void comesBack(FeedForwardConfig layer) throws Exception {
    DecoderConfig config =
        DecoderConfig.of(
            Tiny.VOCAB, 16, AttentionConfig.of(16, 2), FeedForwardConfig.every(1, layer));
    try (Decoder model = Tiny.model(config, 1)) {
      HfCheckpoint.save(dir, model, HfCheckpoint.SaveOptions.DEFAULT);
    }
    try (Decoder loaded = HfCheckpoint.load(dir).model()) {
      assertThat(loaded.config()).isEqualTo(config);
    }
    Files.delete(dir.resolve("config.json"));
  }

  private static MoeConfig.Builder moe() {
    return MoeConfig.builder(16, 8, 4, 2).router("noisy-top-k", Map.of("noise-epsilon", 0.01));
  }

  @Test
  void everyBalanceLoss() throws Exception {
    comesBack(
        moe()
            .balance(
                BalanceRegistry.entries().stream()
                    .map(e -> new BalanceTerm(e.loss(), 0.5))
                    .toList()));
  }

  static Stream<MoeConfig.Builder> layers() {
    return Stream.of(
        moe().form(ExpertForm.GPT_OSS),
        moe().form(ExpertForm.GPT_OSS.withClamp(new ExpertForm.Clamp(1e9, -0.5))),
        moe().form(ExpertForm.GPT_OSS.withClamp(ExpertForm.Clamp.NONE)),
        moe().form(ExpertForm.GPT_OSS.withClamp(new ExpertForm.Clamp(1 / 0.0, 1))),
        moe().sharedExperts(2).outputBias(true),
        moe().sharedExperts(2).sharedForm(ExpertForm.SWIGLU.withBiases(true)));
  }

  @ParameterizedTest
  @MethodSource("layers")
  void everyExpert(MoeConfig.Builder layer) throws Exception {
    comesBack(layer);
  }

  @Test
  void aDenseLayersStart() throws Exception {
    comesBack(new FeedForwardConfig.Dense(ExpertForm.GELU, 8, InitScheme.T5));
  }

  static Stream<Capacity> capacities() {
    List<String> named =
        List.of(
            "none",
            "gshard",
            "lingvo",
            "mesh",
            "switch",
            "flaxformer",
            "vmoe",
            "fairseq",
            "megablocks",
            "fastmoe-gshard",
            "fastmoe-switch");
    return Stream.concat(
        named.stream().map(n -> Capacity.named(n, 0.9, 0.8)),
        Stream.of(Capacity.gshardPaper(Grouping.tokens(8)), Capacity.huggingFaceSwitch(5)));
  }

  @ParameterizedTest
  @MethodSource("capacities")
  void everyCapacity(Capacity capacity) throws Exception {
    comesBack(moe().capacity(capacity));
  }
}
