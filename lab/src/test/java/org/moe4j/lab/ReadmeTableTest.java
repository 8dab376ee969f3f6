package org.moe4j.lab;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.moe4j.lab.papers.Experiments;

/**
 * The README's table of experiments is that of the code; a failure shows the rows it should have.
 */
class ReadmeTableTest {
  private static final Path README = Path.of("..", "README.md");

  @Test
  void hasARowForEachExperimentInTheirOrder() throws IOException {
    List<String> rows =
        Experiments.all().stream()
            .map(e -> "| %s | %s | %s |".formatted(e.id(), e.system().name(), e.claim()))
            .toList();
    assertThat(Files.readAllLines(README))
        .filteredOn(line -> line.matches("\\| S\\d\\d \\|.*"))
        .as("the table of experiments, which should be\n%s\n", String.join("\n", rows))
        .isEqualTo(rows);
  }
}
