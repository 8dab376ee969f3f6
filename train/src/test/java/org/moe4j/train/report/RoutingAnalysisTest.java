package org.moe4j.train.report;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.moe4j.Blend;
import org.moe4j.Evidence;
import org.moe4j.ExpertChoice;
import org.moe4j.Gating;
import org.moe4j.MoeConfig;
import org.moe4j.ParameterStore;
import org.moe4j.Retrieval;
import org.moe4j.Routing;
import org.moe4j.TokenChoice;
import org.moe4j.models.AttentionConfig;
import org.moe4j.models.Decoder;
import org.moe4j.models.DecoderConfig;
import org.moe4j.models.FeedForwardConfig;
import org.moe4j.tensor.Scope;
import org.moe4j.tensor.Tensor;
import org.moe4j.train.data.Batch;
import org.moe4j.train.data.BpeTokenizer;
import org.moe4j.train.data.DocumentSplit;
import org.moe4j.train.data.FileOptions;
import org.moe4j.train.data.TextSource;
import org.moe4j.train.data.TokenDataset;
import org.moe4j.train.data.ValidationSet;

class RoutingAnalysisTest {
  private static final List<String> DOMAINS = List.of("noun", "verb", "never");

  @TempDir private Path folder;

  private static RoutingAnalysis analysis() {
    return new RoutingAnalysis(DOMAINS, 10, id -> "t" + id);
  }

  private static TokenChoice choose(int experts, int k, long... choices) {
    Tensor table = Tensor.of(choices, choices.length / k, k);
    Tensor scores = Tensor.ones(choices.length / k, k);
    return TokenChoice.of(experts, table, scores, Gating.FIXED, Evidence.none());
  }

  private static boolean[] real(int tokens) {
    boolean[] real = new boolean[tokens];
    Arrays.fill(real, true);
    return real;
  }

  @Test
  void everyChoiceOfARouterWithKnownSharesIsCountedOnce() {
    SplittableRandom random = new SplittableRandom(3);
    int tokens = 500;
    int k = 2;
    int experts = 4;
    long[] ids = new long[tokens];
    int[] domains = new int[tokens];
    long[] choices = new long[tokens * k];
    double[][] expected = new double[2][experts];
    double[] load = new double[experts];
    for (int t = 0; t < tokens; t++) {
      ids[t] = random.nextInt(10);
      domains[t] = random.nextInt(3) - 1;
      for (int i = 0; i < k; i++) {
        int expert = (domains[t] + 1 + i + random.nextInt(2)) % experts;
        choices[t * k + i] = expert;
        load[expert]++;
        if (domains[t] >= 0) {
          expected[domains[t]][expert]++;
        }
      }
    }
    RoutingAnalysis analysis = analysis();
    try (Scope scope = Scope.open()) {
      int half = tokens / 2;
      analysis.add(
          Arrays.copyOf(ids, half),
          Arrays.copyOf(domains, half),
          real(half),
          Map.of(5, choose(experts, k, Arrays.copyOf(choices, half * k))));
      analysis.add(
          Arrays.copyOfRange(ids, half, tokens),
          Arrays.copyOfRange(domains, half, tokens),
          real(half),
          Map.of(5, choose(experts, k, Arrays.copyOfRange(choices, half * k, tokens * k))));
    }
    RoutingTable table = analysis.table();
    assertThat(table.tokens()).isEqualTo(tokens);
    assertThat(table.domains()).containsExactly("noun", "verb");
    LayerRouting layer = table.layers().getFirst();
    assertThat(layer.layer()).isEqualTo(5);
    assertThat(layer.counts()).isDeepEqualTo(expected);
    assertThat(layer.load()).containsExactly(load);
    assertThat(Arrays.stream(layer.load()).sum()).isEqualTo(tokens * k);
    for (int d = 0; d < 2; d++) {
      assertThat(Arrays.stream(layer.counts()[d]).sum())
          .isEqualTo((double) table.domainTokens()[d] * k);
    }
    assertThat(layer.dropped()).isZero();
  }

  @Test
  void paddingCountsNowhere() {
    RoutingAnalysis analysis = analysis();
    try (Scope scope = Scope.open()) {
      analysis.add(
          new long[] {1, 2, 3},
          new int[] {0, 1, 1},
          new boolean[] {true, false, true},
          Map.of(0, choose(2, 1, 0, 0, 1)));
    }
    assertThat(analysis.table().tokens()).isEqualTo(2);
    assertThat(analysis.table().domainTokens()).containsExactly(1, 1);
    assertThat(analysis.table().layers().getFirst().counts())
        .isDeepEqualTo(new double[][] {{1, 0}, {0, 1}});
  }

  @Test
  void thePartsOfATokenCountForIt() {
    RoutingAnalysis analysis = analysis();
    try (Scope scope = Scope.open()) {
      analysis.add(
          new long[] {1, 2, 3},
          new int[] {0, 1, 1},
          new boolean[] {true, false, true},
          Map.of(0, choose(2, 1, 0, 1, -1, -1, 1, 1)));
    }
    assertThat(analysis.table().layers().getFirst().counts())
        .isDeepEqualTo(new double[][] {{1, 1}, {0, 2}});
  }

  @Test
  void droppedChoicesCountAsTheRoutersWish() {
    RoutingAnalysis analysis = analysis();
    try (Scope scope = Scope.open()) {
      TokenChoice all = choose(2, 1, 0, 0, 0, 1);
      Tensor kept = Tensor.of(new byte[] {1, 0, 1, 1}, 4, 1).gt(0);
      analysis.add(new long[4], new int[4], real(4), Map.of(0, all.keeping(kept)));
    }
    LayerRouting layer = analysis.table().layers().getFirst();
    assertThat(layer.load()).containsExactly(3, 1);
    assertThat(layer.dropped()).isEqualTo(0.25);
    assertThat(layer.maxOverMean()).isEqualTo(1.5);
  }

  @Test
  void allFourFormsOfRoutingAreRead() {
    RoutingAnalysis analysis = analysis();
    try (Scope scope = Scope.open()) {
      Tensor chosen = Tensor.of(new long[] {0, 2, 1, -1}, 2, 2);
      Routing expertChoice =
          new ExpertChoice(chosen, Tensor.ones(2, 2), Gating.FIXED, Evidence.none());
      Routing dense =
          new Blend.Dense(
              Tensor.of(new double[] {0.25, 0.75, 1, 0, 0.5, 0.5}, 3, 2), Evidence.none());
      Tensor combine =
          Tensor.of(new double[] {.1, .2, .3, .4, 0, 0, .5, .5, .25, .25, .25, .25}, 1, 3, 4);
      Routing slots = new Blend.Slots(2, combine, combine, Evidence.none());
      Routing retrieval =
          new Retrieval(
              3,
              Tensor.of(new long[] {0, 1, 1, 2, 2, 2}, 3, 2),
              Tensor.ones(3, 2),
              Evidence.none());
      Routing vast =
          new Retrieval(1 << 20, Tensor.of(new long[3], 3, 1), Tensor.ones(3, 1), Evidence.none());
      analysis.add(
          new long[3],
          new int[] {0, 0, 1},
          real(3),
          Map.of(0, expertChoice, 1, dense, 2, slots, 3, retrieval, 4, vast));
    }
    List<LayerRouting> layers = analysis.table().layers();
    assertThat(layers).hasSize(4);
    assertThat(layers.get(0).counts()).isDeepEqualTo(new double[][] {{1, 1}, {1, 0}});
    assertThat(layers.get(1).counts()).isDeepEqualTo(new double[][] {{1.25, .75}, {.5, .5}});
    assertThat(layers.get(2).counts()[0][0]).isEqualTo(0.3, within(1e-12));
    assertThat(layers.get(2).counts()[0][1]).isEqualTo(1.7, within(1e-12));
    assertThat(layers.get(3).counts()).isDeepEqualTo(new double[][] {{1, 2, 1}, {0, 0, 2}});
  }

  @Test
  void typicalTokensAreThoseThatOthersDoNotGet() {
    RoutingAnalysis analysis = analysis();
    long[] ids = new long[200];
    long[] choices = new long[200];
    for (int t = 0; t < 200; t++) {
      // Token 0 is the most frequent one everywhere; 4 and 5 have an expert each.
      choices[t] = t % 2;
      ids[t] = t % 10 < 6 ? 0 : 4 + t % 2;
    }
    ids[0] = 9;
    try (Scope scope = Scope.open()) {
      analysis.add(ids, new int[200], real(200), Map.of(0, choose(2, 1, choices)));
    }
    List<List<LayerRouting.TypicalToken>> typical = analysis.table().layers().getFirst().typical();
    assertThat(typical.get(0).getFirst()).isEqualTo(new LayerRouting.TypicalToken("t4", 40, 1));
    assertThat(typical.get(1).getFirst().token()).isEqualTo("t5");
    // One sighting is no evidence.
    assertThat(typical.get(0)).extracting("token").doesNotContain("t9");
  }

  @Test
  void aModelsRoutingAddsUpToItsTokensTimesK() throws IOException {
    for (int i = 0; i < 40; i++) {
      String domain = i % 2 == 0 ? "noun" : "verb";
      Files.createDirectories(folder.resolve(domain));
      Files.writeString(
          folder.resolve(domain).resolve(i + ".txt"),
          "the " + domain + " number " + i + " of many");
    }
    BpeTokenizer tokenizer =
        BpeTokenizer.read(Path.of("src/test/resources/org/moe4j/train/data/tokenizer.json"));
    TokenDataset dataset =
        TokenDataset.build(
            TextSource.files(List.of(folder), FileOptions.DEFAULT),
            tokenizer,
            new DocumentSplit(1, 0.5));
    ValidationSet validation = new ValidationSet(dataset.validation(), 3, 7, 100_000);
    assertThat(padding(validation)).isPositive();
    MoeConfig moe = MoeConfig.builder(16, 8, 4, 2).build();
    DecoderConfig config =
        DecoderConfig.of(
            tokenizer.vocabSize(),
            16,
            AttentionConfig.of(16, 2),
            FeedForwardConfig.firstDense(3, 1, FeedForwardConfig.swiglu(16), moe));
    RoutingTable table;
    int before = Scope.depth();
    try (Decoder model = new Decoder(config, new ParameterStore(1))) {
      table = RoutingAnalysis.of(model, validation, dataset.domains(), tokenizer, 1_000);
    }
    assertThat(Scope.depth()).isEqualTo(before);
    assertThat(table.tokens()).isEqualTo(validation.targets());
    assertThat(table.domains()).hasSameElementsAs(dataset.domains());
    assertThat(table.layers()).extracting(LayerRouting::layer).containsExactly(1, 2);
    for (LayerRouting layer : table.layers()) {
      assertThat(Arrays.stream(layer.load()).sum()).isEqualTo(2.0 * table.tokens());
      for (int d = 0; d < table.domains().size(); d++) {
        assertThat(Arrays.stream(layer.counts()[d]).sum()).isEqualTo(2.0 * table.domainTokens()[d]);
      }
    }
  }

  private static long padding(ValidationSet validation) {
    Batch last = validation.batch(validation.batches() - 1);
    return Arrays.stream(last.targets()).filter(t -> t == Batch.IGNORED).count();
  }
}
