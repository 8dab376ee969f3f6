package org.moe4j.lab.papers;

import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Set;
import java.util.stream.DoubleStream;
import org.moe4j.lab.Arm;
import org.moe4j.lab.Criterion;
import org.moe4j.lab.Experiment;
import org.moe4j.lab.Figure;
import org.moe4j.lab.Held;
import org.moe4j.lab.LanguageArm;
import org.moe4j.lab.LawArm;
import org.moe4j.lab.Metric;
import org.moe4j.lab.ModelGrid;
import org.moe4j.lab.Results;
import org.moe4j.lab.ScalingLaw;
import org.moe4j.lab.ScalingLawFit;
import org.moe4j.lab.Statistics;

/** S17: the law of size and experts against laws that lack one of its terms. */
final class ScalingOfExperts {
  private static final List<Integer> WIDTHS = List.of(24, 48);
  private static final List<Integer> EXPERTS = List.of(1, 2, 4, 8, 16, 32, 64);
  private static final int FEW = 128;

  private static final Metric TRAINED =
      error(LawArm.TRAINED, "error of the loss predicted for models trained here, percent");
  private static final Metric PUBLISHED =
      error(LawArm.PUBLISHED, "error of the loss predicted for published models, percent");
  private static final Metric BEYOND =
      error(
          LawArm.BEYOND, "error for published models of 256 and 512 experts from smaller, percent");

  private ScalingOfExperts() {}

  private static Metric error(String key, String label) {
    return new Metric(key, label, Metric.Better.LOWER, Metric.Scale.RATIO, 3);
  }

  static Experiment experiment() {
    return Experiment.of(
            "S17",
            "One law of a model's size and its number of experts predicts the loss; it needs both"
                + " the interaction, by which experts help large models less, and the saturation"
                + " with many experts.",
            "The paper fits 15 million to 1.3 billion parameters after 130 billion tokens. Its"
                + " published losses, 41 of S-BASE and dense models, are fitted here again; what is"
                + " held out is a fifth of them in turn, and all models of more than 128 experts."
                + " Fourteen models with hash routing are trained beside them: two sizes with 1 to 64"
                + " experts each. That is enough to see the loss saturate with experts, and not for the"
                + " interaction, which is no part of the verdict on them. Of more sizes, 16 to 48 wide,"
                + " losses after a few hundred steps are no power of the size: all laws are then wrong"
                + " by one percent, as much as saturation makes.",
            List.of(
                arm("unified", "all six coefficients", ScalingLaw.Form.UNIFIED),
                arm(
                    "no interaction",
                    "experts help models of every size alike: c = 0",
                    ScalingLaw.Form.SEPARABLE),
                arm(
                    "no saturation",
                    "every doubling of experts helps as much as the last: Ê = E",
                    ScalingLaw.Form.UNSATURATED)),
            List.of(
                Criterion.better("unified", "no interaction", PUBLISHED, 0.5, 0.2),
                Criterion.better("unified", "no saturation", PUBLISHED, 0.15, 0.05),
                Criterion.better("unified", "no interaction", BEYOND, 0.6, 0.2),
                Criterion.better("unified", "no saturation", BEYOND, 0.5, 0.2),
                Criterion.better("unified", "no saturation", TRAINED, 0.15, 0.05)),
            Set.of(Held.STEPS, Held.TOKENS, Held.PARAMETERS, Held.ACTIVE_PARAMETERS, Held.FLOPS))
        .showing(ScalingOfExperts::figures);
  }

  private static Arm arm(String name, String what, ScalingLaw.Form form) {
    return Arm.of(name, what, new LawArm(form, grid(), PublishedLosses.all(), FEW));
  }

  private static ModelGrid grid() {
    List<ModelGrid.Model> models = new ArrayList<>();
    for (int width : WIDTHS) {
      LanguageArm size =
          LanguageArm.of("data.vocab-size=512")
              .narrow()
              .with(
                  "model.hidden=" + width,
                  "model.ffn=" + 4 * width,
                  "moe.expert-ffn=" + 4 * width,
                  "moe.router=hash",
                  "moe.top-k=1");
      for (int experts : EXPERTS) {
        models.add(
            new ModelGrid.Model(
                experts == 1
                    ? size.with("model.placement=none")
                    : size.with("moe.experts=" + experts),
                experts));
      }
    }
    return new ModelGrid(models);
  }

  private static List<Figure> figures(Results results) {
    List<ScalingLaw.Point> trained = new ArrayList<>();
    for (int model = 0; model < WIDTHS.size() * EXPERTS.size(); model++) {
      trained.add(
          new ScalingLaw.Point(
              results.values("unified", LawArm.size(model)).getFirst(),
              EXPERTS.get(model % EXPERTS.size()),
              Statistics.mean(results.values("unified", LawArm.loss(model)))));
    }
    return List.of(
        curves("Published models", PublishedLosses.all()), curves("Models trained here", trained));
  }

  /** Losses over experts, a colour a size, with the law of all of them. */
  private static Figure curves(String title, List<ScalingLaw.Point> points) {
    ScalingLaw law = ScalingLawFit.of(ScalingLaw.Form.UNIFIED, points);
    double most = points.stream().mapToDouble(ScalingLaw.Point::experts).max().orElse(1);
    List<Figure.Series> series = new ArrayList<>();
    points.stream()
        .mapToDouble(ScalingLaw.Point::parameters)
        .distinct()
        .forEach(
            size -> {
              List<Figure.Point> found =
                  points.stream()
                      .filter(p -> p.parameters() == size)
                      .map(p -> Figure.Point.of(p.experts(), p.loss()))
                      .toList();
              List<Figure.Point> fitted =
                  DoubleStream.iterate(1, e -> e <= most * 1.01, e -> e * Math.sqrt(2))
                      .mapToObj(e -> Figure.Point.of(e, law.loss(size, e)))
                      .toList();
              String name = name(size);
              series.add(new Figure.Series(name, Figure.Style.POINTS, found));
              series.add(new Figure.Series(name + ", law", Figure.Style.FIT, fitted));
            });
    return new Figure(
        title + ": " + coefficients(law),
        Figure.Axis.log("experts"),
        Figure.Axis.linear("validation loss, nats per token"),
        series);
  }

  private static String name(double size) {
    return PublishedLosses.NAMES.getOrDefault(
        size, String.format(Locale.ROOT, "%.0fk", size / 1000));
  }

  private static String coefficients(ScalingLaw law) {
    return String.format(
        Locale.ROOT,
        "a %.3f, b %.3f, c %.4f, d %.3f, E_start %.2f, E_max %.0f",
        law.a(),
        law.b(),
        law.c(),
        law.d(),
        law.start(),
        law.most());
  }
}
