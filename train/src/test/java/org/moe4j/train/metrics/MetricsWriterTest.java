package org.moe4j.train.metrics;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.moe4j.tensor.MoeException;

class MetricsWriterTest {
  @TempDir private Path folder;
  private Path file;

  @BeforeEach
  void name() {
    file = folder.resolve("metrics.jsonl");
  }

  @Test
  void everyLineIsInTheFileAtOnce() throws IOException {
    try (MetricsWriter writer = MetricsWriter.open(file, -1)) {
      writer.write(0, Map.of("loss", 8.5));
      assertThat(file).hasContent("{\"step\":0,\"loss\":8.5}\n");
      writer.write(1, Map.of("load", List.of(3, Double.NaN), "text", "a\nb"));
    }
    assertThat(Files.readAllLines(file)).hasSize(2);
    assertThat(MetricsWriter.read(file).getLast().toString())
        .contains("\"load\":[3,null]", "\"text\":\"a\\nb\"");
  }

  @Test
  void nonFiniteNumbersBecomeNull() {
    try (MetricsWriter writer = MetricsWriter.open(file, -1)) {
      writer.write(0, Map.of("loss", Double.POSITIVE_INFINITY));
      writer.write(1, Map.of("m", Map.of("x", Float.NaN)));
    }
    assertThat(file).hasContent("{\"step\":0,\"loss\":null}\n{\"step\":1,\"m\":{\"x\":null}}\n");
  }

  @Test
  void aResumedRunDropsLaterStepsAndWhateverAKillLeft() throws IOException {
    try (MetricsWriter writer = MetricsWriter.open(file, -1)) {
      for (int step = 0; step < 6; step++) {
        writer.write(step, Map.of("loss", step * 0.5));
      }
    }
    String whole = Files.readString(file);
    for (int torn = 0; torn <= 20; torn++) {
      Files.writeString(file, whole.substring(0, whole.length() - torn));
      try (MetricsWriter writer = MetricsWriter.open(file, 3)) {
        writer.write(4, Map.of("loss", 9.0));
      }
      assertThat(MetricsWriter.read(file).stream().map(n -> n.get("step").intValue()))
          .containsExactly(0, 1, 2, 3, 4);
      assertThat(MetricsWriter.read(file).getLast().get("loss").doubleValue()).isEqualTo(9.0);
      assertThat(Files.readString(file)).endsWith("\n");
    }
    assertThat(folder)
        .isDirectoryContaining(f -> f.equals(file))
        .isDirectoryNotContaining("glob:*.tmp");
  }

  @Test
  void aTornLineAtTheResumeStepIsNotGluedToTheNext() throws IOException {
    try (MetricsWriter writer = MetricsWriter.open(file, -1)) {
      writer.write(0, Map.of("loss", 1));
    }
    Files.write(file, new byte[] {'{', '"', (byte) 0xc3, 0, 0}, StandardOpenOption.APPEND);
    try (MetricsWriter writer = MetricsWriter.open(file, 7)) {
      writer.write(8, Map.of("loss", 2));
    }
    assertThat(file).hasContent("{\"step\":0,\"loss\":1}\n{\"step\":8,\"loss\":2}\n");
  }

  @Test
  void aRunFromTheBeginningStartsAnEmptyFile() {
    for (int run = 0; run < 2; run++) {
      try (MetricsWriter writer = MetricsWriter.open(file, -1)) {
        writer.write(0, Map.of("run", run));
      }
    }
    assertThat(file).hasContent("{\"step\":0,\"run\":1}\n");
  }

  @Test
  void anUnwritableFileIsNamed() {
    Path missing = folder.resolve("no/metrics.jsonl");
    assertThatThrownBy(() -> MetricsWriter.open(missing, -1))
        .isInstanceOf(MoeException.class)
        .hasMessageContaining(missing + ": metrics cannot be written");
  }
}
