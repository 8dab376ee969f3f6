package org.moe4j.models.hf;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.moe4j.BalanceRegistry;
import org.moe4j.MoeConfig;
import org.moe4j.MoeLayer;
import org.moe4j.Parameter;
import org.moe4j.ParameterStore;
import org.moe4j.RoutingStats;
import org.moe4j.TokenContext;
import org.moe4j.models.AttentionConfig;
import org.moe4j.models.Decoder;
import org.moe4j.models.DecoderConfig;
import org.moe4j.models.FeedForwardConfig;
import org.moe4j.models.Tiny;
import org.moe4j.tensor.DType;
import org.moe4j.tensor.RandomSource;
import org.moe4j.tensor.Scope;

/** Routers that are dense in training keep what they are through a checkpoint, state included. */
class DenseTrainingCheckpointTest {
  @TempDir private Path dir;

  private static DecoderConfig config() {
    MoeConfig selectors =
        MoeConfig.builder(32, 8, 6, 2)
            .router("dselect-k", Map.of("entropy-steps", "100", "gamma", "2.0"))
            .build();
    MoeConfig dense =
        MoeConfig.builder(32, 8, 6, 2)
            .router("ds-moe", Map.of("serving", "threshold"))
            .balance(BalanceRegistry.named("mutual-information"), 0.5)
            .build();
    MoeConfig parts =
        MoeConfig.builder(32, 8, 6, 2)
            .router("mh-moe", Map.of("inner", "grin", "inner-options", "mask=code"))
            .build();
    return DecoderConfig.of(
            Tiny.VOCAB,
            32,
            AttentionConfig.of(32, 4),
            List.of(
                new FeedForwardConfig.Moe(selectors),
                new FeedForwardConfig.Moe(dense),
                new FeedForwardConfig.Moe(parts)))
        .toBuilder()
        .maxPositions(64)
        .build();
  }

  @Test
  void configurationWeightsAndTheCountOfStepsComeBack() {
    try (Scope scope = Scope.open();
        Decoder model = new Decoder(config(), new ParameterStore(3))) {
      TokenContext context = TokenContext.train(2, 5, new RandomSource(1));
      List<RoutingStats> stats =
          model.forward(Tiny.ids(2, 5), context).layers().stream().map(l -> l.stats()).toList();
      List<MoeLayer> layers = model.blocks().stream().flatMap(b -> b.moe().stream()).toList();
      for (int step = 0; step < 7; step++) {
        for (int i = 0; i < layers.size(); i++) {
          RoutingStats of = stats.get(i);
          layers.get(i).controllers().forEach(c -> c.update(of));
        }
      }
      HfCheckpoint.save(dir, model, HfCheckpoint.SaveOptions.DEFAULT);
      try (Decoder again = HfCheckpoint.load(dir).model()) {
        assertThat(again.config()).isEqualTo(config());
        assertThat(state(again).tensor().dtype()).isEqualTo(DType.I64);
        assertThat(state(again).tensor().toLongs()).containsExactly(7);
        for (Parameter p : model.parameters().all()) {
          assertThat(again.parameters().named(p.name()).tensor().toDoubles())
              .isEqualTo(p.tensor().toDoubles());
        }
      }
    }
  }

  private static Parameter state(Decoder model) {
    return model.parameters().all().stream()
        .filter(p -> p.name().endsWith("gate.steps"))
        .findFirst()
        .orElseThrow();
  }
}
