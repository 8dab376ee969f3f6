package org.moe4j.train;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.InstantSource;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.moe4j.Evidence;
import org.moe4j.Retrieval;
import org.moe4j.RoutingStats;
import org.moe4j.TokenContext;
import org.moe4j.tensor.Scope;
import org.moe4j.tensor.Tensor;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

class MetricsLogTest {
  private static RoutingStats stats(int experts) {
    try (Scope scope = Scope.open()) {
      Tensor ids = Tensor.of(new long[] {0, 2, 2}, 3, 1);
      Retrieval routing = new Retrieval(experts, ids, Tensor.ones(3, 1), Evidence.none());
      return RoutingStats.of(routing, TokenContext.eval(1, 3));
    }
  }

  private static JsonNode line(Path folder, int experts) throws IOException {
    RunFolder run = new RunFolder(Files.createDirectories(folder));
    try (MetricsLog log = new MetricsLog(run, 0, InstantSource.system())) {
      log.add(new StepResult(1, 2.5, Map.of(), 1e-3, 1, false, 3, 0.1, List.of(stats(experts))));
      log.write(1, Optional.empty());
    }
    return new JsonMapper().readTree(Files.readString(run.metrics()));
  }

  @Test
  void loadsOfVeryManyExpertsAreLeftOut(@TempDir Path folder) throws IOException {
    JsonNode few = line(folder.resolve("few"), 4);
    assertThat(few.at("/expert_load/0/2").doubleValue()).isEqualTo(2);
    JsonNode many = line(folder.resolve("many"), 1 << 20);
    assertThat(many.at("/expert_load").isEmpty()).isTrue();
    assertThat(many.at("/imbalance/0").doubleValue()).isEqualTo(2.0 * (1 << 20) / 3);
  }
}
