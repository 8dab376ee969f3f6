package org.moe4j.lab;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.moe4j.Capacity;
import org.moe4j.DropOrder;
import org.moe4j.ExpertForm;
import org.moe4j.Grouping;
import org.moe4j.InitScheme;
import org.moe4j.MoeConfig;
import org.moe4j.Parameter;
import org.moe4j.ParameterStore;
import org.moe4j.TokenChoice;
import org.moe4j.TokenContext;
import org.moe4j.models.FeedForwardConfig;
import org.moe4j.tensor.DType;
import org.moe4j.tensor.Device;
import org.moe4j.tensor.NoGrad;
import org.moe4j.tensor.Ops;
import org.moe4j.tensor.RandomSource;
import org.moe4j.tensor.Scope;
import org.moe4j.tensor.Tensor;

/** Drawn images and the model that names them. */
class ImagesTest {
  private static final ImageSet IMAGES = ImageSet.drawn(2 * ShapeDrawing.LABELS, 7);

  private static MoeConfig moe(String router, Map<String, ?> options) {
    return MoeConfig.builder(8, 6, 4, 1)
        .router(router, options)
        .form(ExpertForm.GELU.withBiases(true))
        .init(InitScheme.T5)
        .build();
  }

  private static VisionConfig small(FeedForwardConfig last) {
    return new VisionConfig(8, 2, 16, ShapeDrawing.LABELS, List.of(VisionConfig.mlp(6), last));
  }

  private static VisionTransformer model(FeedForwardConfig last) {
    ParameterStore store = new ParameterStore(new RandomSource(3), Device.CPU, DType.F64);
    VisionTransformer model = new VisionTransformer(small(last), store);
    // The head starts at zero, where nothing could be seen.
    try (NoGrad off = NoGrad.open();
        Scope scope = Scope.open()) {
      Tensor head = store.named("head").tensor();
      head.copyInPlace(new RandomSource(4).normal(0, 1, DType.F64, head.shape()));
    }
    return model;
  }

  private static double[] scores(VisionTransformer model, int... which) {
    try (NoGrad off = NoGrad.open();
        Scope scope = Scope.open()) {
      Tensor x = IMAGES.patches(which, 16).to(DType.F64);
      return model.forward(x, TokenContext.eval(which.length, 4)).scores().toDoubles();
    }
  }

  private static double loss(VisionTransformer model) {
    int[] which = {0, 5, 9};
    try (NoGrad off = NoGrad.open();
        Scope scope = Scope.open()) {
      return loss(model, which).item();
    }
  }

  private static Tensor loss(VisionTransformer model, int... which) {
    Tensor x = IMAGES.patches(which, 16).to(DType.F64);
    Tensor scores = model.forward(x, TokenContext.eval(which.length, 4)).scores();
    return Ops.crossEntropy(scores, IMAGES.labels(which));
  }

  @Test
  void aSeedDrawsTheSamePicturesAgainAndEachLabelAsOften() {
    ImageSet same = ImageSet.drawn(IMAGES.size(), 7);
    assertThat(same.pixels()).isDeepEqualTo(IMAGES.pixels());
    assertThat(ImageSet.drawn(3, 8).pixels()[0]).isNotEqualTo(IMAGES.pixels()[0]);
    for (int label = 0; label < ShapeDrawing.LABELS; label++) {
      int wanted = label;
      assertThat(Arrays.stream(IMAGES.labels()).filter(l -> l == wanted)).hasSize(2);
    }
    assertThat(ShapeDrawing.caption(0)).isEqualTo("plain disc");
  }

  @Test
  void aShapeIsBrighterThanTheBackground() {
    // A plain disc covers the middle; corners are background.
    byte[] disc = ShapeDrawing.draw(0, new SplittableRandom(1));
    int middle = brightness(disc, 16, 16);
    assertThat(middle).isGreaterThan(60 + brightness(disc, 0, 31));
  }

  private static int brightness(byte[] pixels, int x, int y) {
    int at = 3 * (y * ShapeDrawing.SIZE + x);
    return IntStream.range(at, at + 3).map(i -> pixels[i] & 0xff).max().orElseThrow();
  }

  @Test
  void patchesHoldTheirPixelsInRows() {
    int[] which = {4, 1};
    try (Scope scope = Scope.open()) {
      double[] all = IMAGES.patches(which, 8).toDoubles();
      for (int b = 0; b < 2; b++) {
        for (int y = 0; y < 32; y++) {
          for (int x = 0; x < 32; x++) {
            int patch = y / 8 * 4 + x / 8;
            int inside = 3 * (y % 8 * 8 + x % 8);
            int at = (b * 16 + patch) * 192 + inside;
            int value = IMAGES.pixels()[which[b]][3 * (32 * y + x)] & 0xff;
            assertThat(all[at]).isCloseTo(value / 127.5 - 1, within(1e-6));
          }
        }
      }
    }
  }

  @Test
  void anImageIsNamedTheSameAloneAndAmongOthersAndEveryPatchCounts() {
    MoeConfig soft = moe("soft-moe", Map.of("slots", 1));
    try (VisionTransformer model = model(new FeedForwardConfig.Moe(soft))) {
      double[] alone = scores(model, 6);
      double[] among = scores(model, 2, 6);
      assertThat(Arrays.copyOfRange(among, alone.length, among.length))
          .containsExactly(alone, within(1e-12));
      try (NoGrad off = NoGrad.open();
          Scope scope = Scope.open()) {
        for (int patch = 0; patch < 4; patch++) {
          Tensor x = IMAGES.patches(new int[] {6}, 16).to(DType.F64);
          x.narrow(1, patch, 1).fillInPlace(0.3);
          double[] changed = model.forward(x, TokenContext.eval(1, 4)).scores().toDoubles();
          assertThat(Math.abs(changed[0] - alone[0])).isGreaterThan(1e-9);
        }
      }
    }
  }

  @Test
  void gradientsAreThoseOfFiniteDifferences() {
    for (FeedForwardConfig last :
        List.of(
            VisionConfig.mlp(6), new FeedForwardConfig.Moe(moe("soft-moe", Map.of("slots", 1))))) {
      try (VisionTransformer model = model(last)) {
        Map<String, double[]> gradients = new HashMap<>();
        try (Scope scope = Scope.open()) {
          loss(model, 0, 5, 9).backward();
          model
              .parameters()
              .all()
              .forEach(
                  p ->
                      gradients.put(
                          p.name(), p.tensor().grad().orElseThrow().contiguous().toDoubles()));
        }
        for (Parameter p : model.parameters().all()) {
          int at = (int) (p.tensor().numel() / 2);
          double h = 1e-5;
          double slope = (moved(model, p, at, h) - moved(model, p, at, -h)) / (2 * h);
          assertThat(gradients.get(p.name())[at])
              .as(p.name())
              .isCloseTo(slope, within(1e-7 + 1e-5 * Math.abs(slope)));
        }
      }
    }
  }

  /** The loss with one weight moved. */
  private static double moved(VisionTransformer model, Parameter p, int at, double by) {
    try (NoGrad off = NoGrad.open();
        Scope scope = Scope.open()) {
      Tensor one = p.tensor().detach().view(-1).narrow(0, at, 1);
      one.addInPlace(by);
      double loss = loss(model);
      one.addInPlace(-by);
      return loss;
    }
  }

  @Test
  void theCostIsThatOfTheParameters() {
    VisionConfig config = small(new FeedForwardConfig.Moe(moe("v-moe", Map.of())));
    Cost cost = config.cost(5);
    try (VisionTransformer model = new VisionTransformer(config, new ParameterStore(1))) {
      assertThat(cost.parameters()).isEqualTo(model.parameters().count(p -> true));
    }
    // Three of four experts of 2 x 8 x 6 weights and 14 biases are not met.
    assertThat(cost.parameters() - cost.active()).isEqualTo(3 * (2 * 8 * 6 + 14));
    assertThat(cost.tokensPerStep()).isEqualTo(20);
    long patches = 2L * 768 * 8;
    long attention = 2L * (8 * 8 * 8 + 4 * 8 * 4);
    long networks = 2L * 4 * 8 * 6 + 2 * 4 * 8;
    long head = 2L * 8 * ShapeDrawing.LABELS / 4;
    assertThat(cost.flops()).isEqualTo(patches + attention + networks + head);
  }

  @Test
  void aTrainedModelIsMeasuredWithLessRoomWithoutBeingChanged() {
    VisionConfig config = small(new FeedForwardConfig.Moe(moe("v-moe", Map.of())));
    Capacity tight = Capacity.vmoePaper(0.2, Grouping.BATCH, DropOrder.PRIORITY);
    ImageArm arm =
        ImageArm.of(config)
            .measuring(
                "dropped tight",
                t ->
                    t.withRouters(r -> (x, c) -> tight.apply((TokenChoice) r.route(x, c), c))
                        .score()
                        .layers()
                        .getFirst()
                        .dropRate())
            .measuring("dropped", t -> t.score().layers().getFirst().dropRate());
    Bench bench = new Bench(Device.CPU);
    Map<String, Double> first = run(arm, bench, 1);
    assertThat(first.get("dropped tight")).isBetween(0.75, 0.95);
    assertThat(first.get("dropped")).isZero();
    assertThat(run(arm, bench, 1)).isEqualTo(first);
    assertThat(run(arm, bench, 2).get("loss")).isNotEqualTo(first.get("loss"));
  }

  private static Map<String, Double> run(ImageArm arm, Bench bench, long seed) {
    try (Trial trial = arm.start(bench, seed, 4)) {
      IntStream.range(0, 4).forEach(i -> trial.step());
      return trial.finish().values();
    }
  }

  @Test
  void itLearns() {
    Bench bench = new Bench(Device.CPU);
    try (Trial trial = ImageArm.of(VisionConfig.dense(64)).start(bench, 1, 120)) {
      double first = trial.step();
      IntStream.range(1, 120).forEach(i -> trial.step());
      assertThat(trial.finish().values().get("training_loss")).isLessThan(first - 0.4);
    }
  }
}
