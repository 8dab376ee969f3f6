package org.moe4j.lab.papers;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.InputStream;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.moe4j.ReadingList;
import org.moe4j.lab.ArmResult;
import org.moe4j.lab.Cost;
import org.moe4j.lab.Criterion;
import org.moe4j.lab.Experiment;
import org.moe4j.lab.Judgement;
import org.moe4j.lab.Measurement;
import org.moe4j.lab.Results;
import org.moe4j.lab.Verdict;
import org.moe4j.tensor.MoeException;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/** What is true of every experiment, by the recorded output of {@code moe paper run ID --json}. */
class ExperimentsTest {
  static List<Experiment> all() {
    return Experiments.all();
  }

  private static JsonNode recorded(Experiment e) throws Exception {
    try (InputStream in = ExperimentsTest.class.getResourceAsStream(e.id() + ".json")) {
      assertThat(in).as(e.id() + ".json is recorded").isNotNull();
      return new JsonMapper().readTree(in);
    }
  }

  private static Results results(JsonNode record) {
    List<ArmResult> arms = new ArrayList<>();
    List<Long> seeds = record.get("seeds").valueStream().map(JsonNode::longValue).toList();
    for (JsonNode arm : record.get("arms")) {
      List<Measurement> runs = new ArrayList<>();
      for (int i = 0; i < seeds.size(); i++) {
        Map<String, Double> values = new HashMap<>();
        for (Map.Entry<String, JsonNode> e : arm.get("values").properties()) {
          values.put(e.getKey(), e.getValue().get(i).doubleValue());
        }
        runs.add(Measurement.of(values));
      }
      Cost cost =
          new Cost(
              arm.get("parameters").longValue(),
              arm.get("active_parameters").longValue(),
              arm.get("flops_per_token").longValue(),
              1024);
      arms.add(
          new ArmResult(arm.get("name").stringValue(), cost, arm.get("steps").intValue(), runs));
    }
    return new Results(arms, seeds, record.get("seconds").doubleValue());
  }

  @ParameterizedTest
  @MethodSource("all")
  void theRecordedRunHasTheVerdictThatWasPrintedWithinItsBudget(Experiment e) throws Exception {
    JsonNode record = recorded(e);
    assertThat(e.judge(results(record)).verdict().label())
        .isEqualTo(record.get("verdict").stringValue());
    assertThat(e.budget()).isLessThanOrEqualTo(120);
  }

  @ParameterizedTest
  @MethodSource("all")
  void withSystemAndBaselineSwappedTheClaimDoesNotHoldToo(Experiment e) throws Exception {
    Results results = results(recorded(e));
    List<Criterion> swapped = e.criteria().stream().map(Criterion::swapped).toList();
    List<Verdict> both =
        List.of(e.judge(results).verdict(), Judgement.of(swapped, results).verdict());
    assertThat(both).isNotEqualTo(List.of(Verdict.HOLDS, Verdict.HOLDS));
  }

  @ParameterizedTest
  @MethodSource("all")
  void itsRecordHasTheArmsThatItHasNow(Experiment e) throws Exception {
    assertThat(results(recorded(e)).arms().stream().map(ArmResult::name))
        .containsExactlyElementsOf(e.arms().stream().map(a -> a.name()).toList());
  }

  @Test
  void everyExperimentIsOfTheReadingListInItsOrder() {
    assertThat(all().stream().map(Experiment::id)).isSorted().doesNotHaveDuplicates();
    assertThat(all()).allSatisfy(e -> assertThat(e.system().id()).isEqualTo(e.id()));
    assertThat(ReadingList.systems())
        .hasSize(60)
        .allSatisfy(
            s -> assertThat(Experiments.state(s.id())).isIn("runs", "needs-gpu", "planned"));
  }

  @Test
  void whatDoesNotRunSaysSo() {
    assertThatThrownBy(() -> Experiments.named("S03"))
        .isInstanceOf(MoeException.class)
        .hasMessageContaining("ZeRO")
        .hasMessageContaining("no experiment yet");
    assertThatThrownBy(() -> Experiments.named("S99")).hasMessageContaining("S99");
  }
}
