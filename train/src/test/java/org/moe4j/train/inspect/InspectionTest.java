package org.moe4j.train.inspect;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.moe4j.Capacity;
import org.moe4j.DropOrder;
import org.moe4j.ExpertForm;
import org.moe4j.Gating;
import org.moe4j.Grouping;
import org.moe4j.MoeConfig;
import org.moe4j.Role;
import org.moe4j.models.AttentionExpertsConfig;
import org.moe4j.models.hf.CheckpointSummary;

class InspectionTest {
  private static final Path FAMILIES =
      Path.of("..", "models", "src", "test", "resources", "families");

  static List<Path> decoders() throws IOException {
    try (Stream<Path> all = Files.list(FAMILIES)) {
      return all.filter(Files::isDirectory)
          .filter(p -> !p.getFileName().toString().startsWith("switch"))
          .sorted()
          .toList();
    }
  }

  /** The elements in the files are an oracle for what the configuration counts. */
  @ParameterizedTest
  @MethodSource("decoders")
  void countsAreThoseOfTheFile(Path folder) {
    Inspection seen = Inspection.of(folder);
    CheckpointSummary summary = CheckpointSummary.of(folder);
    long trained =
        summary.parts().stream()
            .filter(p -> !(p.role() instanceof Role.State))
            .mapToLong(CheckpointSummary.Stored::elements)
            .sum();
    assertThat(seen.config().parameters().total()).isEqualTo(trained);
    long asleep =
        seen.sparse().entrySet().stream()
            .mapToLong(
                e -> {
                  MoeConfig moe = e.getKey();
                  long one = moe.form().parameters(moe.width(), moe.expertWidth());
                  return one * (moe.experts() - moe.topK()) * e.getValue().size();
                })
            .sum();
    if (seen.config().attention() instanceof AttentionExpertsConfig a) {
      long one = 2L * seen.config().hidden() * a.kvHeads() * a.headDim();
      asleep += one * (a.experts() - a.topK()) * seen.config().layers();
    }
    assertThat(seen.config().parameters().active()).isEqualTo(trained - asleep);
    long bytes = summary.parts().stream().mapToLong(CheckpointSummary.Stored::bytes).sum();
    assertThat(seen.bytes().get("total")).isEqualTo(bytes);
  }

  @Test
  void gatingInWords() {
    assertThat(words(Gating.MIXTRAL))
        .isEqualTo("softmax over all experts, then the best 2; weights divided by their sum");
    assertThat(words(Gating.deepSeekV3(4, 2, 2.5)))
        .isEqualTo(
            "sigmoid over all experts, then the best 2 by score + bias within 2 of 4 groups (rated"
                + " by their two best together); weights divided by their sum, times 2.5");
    assertThat(words(Gating.LLAMA4))
        .isEqualTo(
            "the largest 2 logits, then sigmoid of these; weights as they are, on the experts'"
                + " input");
    MoeConfig hash = MoeConfig.builder(8, 8, 8, 1).router("hash").build();
    assertThat(RoutingWords.routing(hash)).startsWith("hash: ");
  }

  private static String words(Gating gating) {
    return RoutingWords.routing(MoeConfig.builder(8, 8, 8, 2).gating(gating).build());
  }

  @Test
  void expertsAndCapacityInWords() {
    MoeConfig moe =
        MoeConfig.builder(8, 14336, 8, 2)
            .form(ExpertForm.GPT_OSS)
            .sharedWidth(20)
            .sharedForm(ExpertForm.RELU)
            .sharedGate(true)
            .build();
    assertThat(RoutingWords.experts(moe))
        .isEqualTo(
            "top 2 of 8, width 14,336, gated quick gelu clamped at 7 with biases; shared of width"
                + " 20, relu, weighed by a sigmoid gate");
    assertThat(RoutingWords.capacity(Capacity.NONE)).isEmpty();
    assertThat(RoutingWords.capacity(Capacity.huggingFaceSwitch(64)))
        .hasValue("an expert serves at most 64 tokens of a sequence");
    assertThat(RoutingWords.capacity(Capacity.vmoe(1, 1.5, Grouping.BATCH, DropOrder.CHOICE)))
        .hasValue("an expert serves at most 1.5 times its even share of the tokens of a batch");
  }

  @Test
  void figures() {
    assertThat(Figures.ranges(List.of(0, 1, 2, 4, 6, 7))).isEqualTo("0-2, 4, 6, 7");
    assertThat(Figures.layers(List.of(3))).isEqualTo("layer 3");
    assertThat(Figures.of(5e6)).isEqualTo("5,000,000");
    assertThat(Figures.of(0.267261)).isEqualTo("0.26726");
    assertThat(Figures.of(-2.5)).isEqualTo("-2.5");
    assertThat(Figures.of(1e-20)).isEqualTo("1E-20");
  }
}
