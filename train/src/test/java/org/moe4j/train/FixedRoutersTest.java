package org.moe4j.train;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.SplittableRandom;
import java.util.concurrent.atomic.AtomicLong;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.moe4j.DemixRouter;
import org.moe4j.HashRouter;
import org.moe4j.HashTables;
import org.moe4j.Parameter;
import org.moe4j.ParameterStore;
import org.moe4j.Role;
import org.moe4j.TokenContext;
import org.moe4j.models.Decoder;
import org.moe4j.models.DomainExperts;
import org.moe4j.models.Sampling;
import org.moe4j.models.hf.HfCheckpoint;
import org.moe4j.tensor.DType;
import org.moe4j.tensor.Device;
import org.moe4j.tensor.MoeException;
import org.moe4j.tensor.NoGrad;
import org.moe4j.tensor.Ops;
import org.moe4j.tensor.RandomSource;
import org.moe4j.tensor.Scope;
import org.moe4j.tensor.Tensor;
import org.moe4j.train.config.TrainingConfig;
import org.moe4j.train.data.Sampler;
import org.moe4j.train.data.SamplerState;

/** Routers that are fixed by data, in training runs: hash layers, DEMix, MoCLE. */
class FixedRoutersTest {
  private static final String HASH = "moe.router=hash";
  private static final String ONE = "moe.top-k=1";

  @TempDir Path folder;

  /** Texts of three domains with words of their own. */
  @BeforeEach
  void text() throws IOException {
    Ops.threads(1);
    Tiny.corpus(folder);
    SplittableRandom random = new SplittableRandom(1);
    List<List<String>> words =
        List.of(
            List.of("cat", "dog", "sheep", "horse", "purrs", "barks", "sleeps"),
            List.of("oak", "fern", "moss", "grows", "blooms", "green", "tall"),
            List.of("hammer", "saw", "nail", "cuts", "drives", "steel", "sharp"));
    List<String> names = List.of("animal", "plant", "tool");
    StringBuilder rows = new StringBuilder();
    for (int i = 0; i < 400; i++) {
      int domain = i % 3;
      List<String> some = new ArrayList<>(List.of("item " + i + ":"));
      for (int w = 0; w < 6; w++) {
        some.add(words.get(domain).get(random.nextInt(7)));
      }
      rows.append(
          "{\"text\": \"%s\", \"kind\": \"%s\"}%n"
              .formatted(String.join(" ", some), names.get(domain)));
    }
    Files.writeString(folder.resolve("rows.jsonl"), rows);
  }

  private TrainingConfig config(String... overrides) {
    return Tiny.config(folder, overrides);
  }

  private TrainingConfig labelled(String... overrides) {
    List<String> all =
        new ArrayList<>(
            List.of(
                "data.source=" + folder.resolve("rows.jsonl"),
                "data.text-field=text",
                "data.domain-field=kind",
                "moe.experts=3"));
    all.addAll(List.of(overrides));
    return config(all.toArray(String[]::new));
  }

  private TrainingRun.Outcome run(TrainingConfig config) {
    return TrainingRun.start(config, TrainingListener.SILENT, () -> false);
  }

  /** Stops after the fifth step. */
  private static final class Five implements TrainingListener {
    private final AtomicLong seen = new AtomicLong();

    @Override
    public void step(StepResult result) {
      seen.set(result.step());
    }

    private boolean done() {
      return seen.get() >= 5;
    }
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "moe.router=hash moe.top-k=1 moe.options.table=balanced",
        "moe.router=hash-ngram moe.top-k=1 moe.options.n=3",
        "moe.router=demix moe.top-k=1 moe.experts=2",
        "moe.router=mocle moe.top-k=2"
      })
  void itTrainsResumesAndGenerates(String settings) throws IOException {
    List<String> set = List.of(settings.split(" "));
    TrainingRun.Outcome whole = run(labelled(with(set, "run.name=whole", "train.steps=8")));
    Five five = new Five();
    TrainingRun.Outcome half =
        TrainingRun.start(
            labelled(with(set, "run.name=parted", "train.steps=8")), five, five::done);
    TrainingRun.Outcome rest =
        TrainingRun.resume(half.folder(), List.of(), TrainingListener.SILENT, () -> false);
    assertThat(rest.checkpoint().orElseThrow().resolve("model.safetensors"))
        .hasSameBinaryContentAs(whole.checkpoint().orElseThrow().resolve("model.safetensors"));
    assertThat(whole.summary().orElseThrow().valLoss()).isLessThan(5.5);
    try (LanguageModel model = LanguageModel.open(whole.folder(), Device.CPU)) {
      assertThat(model.generate("item", 12, Sampling.GREEDY, t -> {}))
          .isEqualTo(model.generateUncached("item", 12, t -> {}));
    }
  }

  private static String[] with(List<String> some, String... more) {
    List<String> all = new ArrayList<>(some);
    all.addAll(List.of(more));
    return all.toArray(String[]::new);
  }

  @Test
  void aBalancedTableIsOfTheTrainingTextAloneAndNeverMadeAgain() throws IOException {
    TrainingConfig config = config(HASH, ONE, "moe.options.table=balanced", "train.steps=2");
    TrainingRun.Outcome outcome = run(config);
    Corpus corpus =
        Corpus.read(config, outcome.folder().resolve("tokenizer.json"), TrainingListener.SILENT);
    long[] counts = new long[corpus.tokenizer().vocabSize()];
    for (int i = 0; i < corpus.dataset().train().size(); i++) {
      counts[corpus.dataset().train().token(i)]++;
    }
    try (Decoder model = HfCheckpoint.load(outcome.checkpoint().orElseThrow()).model()) {
      assertThat(hash(model).table()).isEqualTo(HashTables.balanced(counts, 4));
    }
    assertThat(corpus.counts().tokens()).isEqualTo(counts);
  }

  private static HashRouter hash(Decoder model) {
    return (HashRouter) model.blocks().getLast().moe().orElseThrow().router();
  }

  @Test
  void clustersOfADenseModelsEmbeddingsMakeTables() {
    Path dense = run(config("run.name=dense", "model.placement=none", "train.steps=2")).folder();
    for (String kind : List.of("clustered", "dispersed")) {
      TrainingRun.Outcome outcome =
          run(
              config(
                  "run.name=" + kind,
                  "train.steps=2",
                  HASH,
                  ONE,
                  "moe.options.table=" + kind,
                  "moe.options.embeddings=" + dense.resolve("model"),
                  "data.tokenizer=" + dense.resolve("model/tokenizer.json")));
      try (Decoder model = HfCheckpoint.load(outcome.checkpoint().orElseThrow()).model()) {
        assertThat(Arrays.stream(hash(model).table()).distinct().sorted())
            .containsExactly(0L, 1L, 2L, 3L);
      }
    }
    TrainingConfig without = config("run.name=without", HASH, ONE, "moe.options.table=clustered");
    assertThatThrownBy(() -> run(without))
        .isInstanceOf(MoeException.class)
        .hasMessageContaining("embeddings");
    assertThat(folder.resolve("runs/without")).doesNotExist();
  }

  /** Whoever reads the answer predicts it: a leak shows as a loss far below all others. */
  @Test
  void theOracleIsRefusedUnlessForcedAndThenTooGoodToBeTrue() {
    List<String> same = List.of(ONE, "moe.experts=64", "train.steps=100");
    String[] oracle = with(same, "moe.router=hash-future", "run.name=oracle");
    assertThatThrownBy(() -> run(labelled(oracle)))
        .isInstanceOf(MoeException.class)
        .hasMessageContaining("hash-future");
    double leaking = loss(labelled(with(List.of(oracle), "moe.allow-leaks=true")));
    double honest = loss(labelled(with(same, HASH, "run.name=honest")));
    assertThat(leaking).isLessThan(0.75 * honest);
  }

  private double loss(TrainingConfig config) {
    return run(config).summary().orElseThrow().valLoss();
  }

  @Test
  void demixNeedsLabelsToTrain() {
    assertThatThrownBy(() -> run(config("moe.router=demix", ONE)))
        .isInstanceOf(MoeException.class)
        .hasMessageContainingAll("demix", "domain");
  }

  /** An added expert learns a new domain; all else keeps every bit. */
  @Test
  void anAddedExpertIsTrainedAlone() {
    TrainingConfig config = labelled("moe.router=demix", ONE);
    Corpus corpus = Corpus.read(config, folder.resolve("none.json"), TrainingListener.SILENT);
    int vocab = corpus.tokenizer().vocabSize();
    try (Decoder model = new Decoder(ModelPlan.of(config, vocab), new ParameterStore(1));
        Decoder more = DomainExperts.add(model, 1)) {
      DomainExperts.trainOnly(more, 3);
      List<double[]> before = values(more);
      Sampler sampler = new Sampler(corpus.dataset().train(), 4, 16, SamplerState.start(1));
      AdamW.Options options = new AdamW.Options(0.9, 0.95, 1e-8, 0.1);
      double first = 0;
      double last = 0;
      try (AdamW adam = new AdamW(more.parameters().all(), options)) {
        for (int i = 0; i < 20; i++) {
          try (Scope scope = Scope.open()) {
            var batch = sampler.next();
            Tensor loss =
                more.loss(
                        Tensor.of(batch.inputs(), 4, 16),
                        Tensor.of(batch.targets(), 4, 16),
                        TokenContext.train(4, 16, new RandomSource(1))
                            .withDomains(Tensor.full(3, DType.I64, Device.CPU, 4, 16)))
                    .total();
            loss.backward();
            last = loss.item();
            first = i == 0 ? last : first;
            assertThat(Gradients.norm(more.parameters().all())).isPositive();
            adam.update(0.01, 1);
            Gradients.clear(more.parameters().all());
          }
        }
      }
      assertThat(last).isLessThan(first);
      int i = 0;
      for (Parameter p : more.parameters().all()) {
        double[] now = p.tensor().toDoubles();
        double[] then = before.get(i++);
        boolean stacked = p.role() instanceof Role.RoutedExperts;
        assertThat(p.isFrozen()).isEqualTo(!stacked);
        int kept = stacked ? then.length / 4 * 3 : then.length;
        assertThat(Arrays.copyOf(now, kept)).as(p.name()).isEqualTo(Arrays.copyOf(then, kept));
        if (stacked) {
          assertThat(now).isNotEqualTo(then);
        }
      }
      for (long domain = 0; domain < 3; domain++) {
        assertThat(hidden(more, domain)).isEqualTo(hidden(model, domain));
      }
      DemixRouter router = (DemixRouter) more.blocks().getLast().moe().orElseThrow().router();
      assertThat(router.prior()).hasSize(4);
    }
  }

  private static List<double[]> values(Decoder model) {
    return model.parameters().all().stream().map(p -> p.tensor().toDoubles()).toList();
  }

  private static float[] hidden(Decoder model, long domain) {
    try (Scope scope = Scope.open();
        NoGrad off = NoGrad.open()) {
      Tensor ids = Tensor.of(new long[] {5, 9, 200, 3, 8, 8}, 2, 3);
      TokenContext context =
          TokenContext.eval(2, 3)
              .withDomains(Tensor.full((double) domain, DType.I64, Device.CPU, 2, 3));
      return model.forward(ids, context).hidden().toFloats();
    }
  }
}
