package org.moe4j.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

class BenchModelCommandTest {
  private static final String MODEL =
      Path.of("..", "engine", "src", "test", "resources", "models", "olmoe-q4_0.gguf").toString();

  private final StringWriter out = new StringWriter();
  private final StringWriter err = new StringWriter();

  private int run(String... args) {
    List<String> all = new ArrayList<>(List.of("bench"));
    all.addAll(List.of(args));
    return Moe.run(
        Moe.COMMANDS, new PrintWriter(out), new PrintWriter(err), all.toArray(String[]::new));
  }

  @Test
  void decodePrintsTheRatesAndHowTheyWereTaken() {
    assertThat(run("decode", MODEL, "--threads", "2", "--prompt", "20", "--tokens", "5", "--json"))
        .as(err.toString())
        .isZero();
    JsonNode all = new JsonMapper().readTree(out.toString());
    assertThat(all.get("prompt_tok_s").asDouble()).isPositive();
    assertThat(all.get("decode_tok_s").asDouble()).isPositive();
    assertThat(all.get("first_token_s").asDouble()).isPositive();
    assertThat(all.get("threads").asInt()).isEqualTo(2);
    assertThat(all.get("warm_up_rounds").asInt()).isEqualTo(1);
    assertThat(all.get("rounds").asInt()).isEqualTo(3);
  }

  @Test
  void prefillPrintsTheRate() {
    assertThat(run("prefill", MODEL, "--prompt", "30", "--rounds", "2", "--cache-type", "q8"))
        .as(err.toString())
        .isZero();
    assertThat(out.toString()).startsWith("prompt of 30: ").contains(" tokens/s; ");
  }

  @Test
  void whatDoesNotFitIntoTheContextIsRefused() {
    assertThat(run("decode", MODEL, "--prompt", "200", "--tokens", "57")).isEqualTo(Moe.FAILED);
    assertThat(err.toString()).contains("do not fit into the context of 256");
    assertThat(out.toString()).isEmpty();
  }

  @ParameterizedTest
  @CsvSource({
    "--tokens 0, --tokens 0: give at least 1",
    "--prompt 0, a prompt has at least 1",
    "--threads 0, threads is 0",
    "--threads -2, threads is -2",
    "--rounds 0, --rounds and --warm-up are at least 1",
    "--memory 5m, 5000000 bytes of memory are too few; it needs at least 1"
  })
  void numbersThatMeasureNothingAreRefused(String option, String why) {
    String[] words = option.split(" ", 2);
    assertThat(run("decode", MODEL, words[0], words[1])).isEqualTo(Moe.FAILED);
    assertThat(err.toString()).contains(why).hasLineCount(1);
    assertThat(out.toString()).isEmpty();
  }

  @Test
  void aFileThatIsNoModelIsRefused() {
    assertThat(run("prefill", "pom.xml")).isEqualTo(Moe.FAILED);
    assertThat(err.toString()).contains("pom.xml").hasLineCount(1);
  }
}
