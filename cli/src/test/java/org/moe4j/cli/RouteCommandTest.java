package org.moe4j.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.moe4j.cli.TrainCommandTest.moe;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

class RouteCommandTest {
  @TempDir Path folder;
  private String run;
  private String one;
  private String two;

  @BeforeEach
  void model() throws IOException {
    TrainCommandTest.corpus(folder);
    TrainCommandTest.Run trained =
        moe(TrainCommandTest.tiny(folder, "--set", "train.steps=2", "--set", "moe.top-k=2"));
    assertThat(trained.status()).as(trained.err()).isZero();
    run = folder.resolve("runs/tiny").toString();
    one = write("one.txt", "thing 3: one of the 4 kinds\n".repeat(9));
    two = write("two.txt", "kinds of the other thing, 5\n".repeat(9));
  }

  private String write(String name, String text) throws IOException {
    return Files.writeString(folder.resolve(name), text).toString();
  }

  @Test
  void aTableWithALineForEachLayer() {
    TrainCommandTest.Run shown = moe("route", run, "--text", one, "--text", two);
    assertThat(shown.err()).isEmpty();
    assertThat(shown.status()).isZero();
    assertThat(shown.out()).contains("max/mean", "one 4", "two 5");
    assertThat(shown.out().lines().filter(line -> line.matches(" +0 +4 +\\d\\.\\d\\d .*%")))
        .hasSize(1);
    assertThat(shown.out().lines().allMatch(line -> line.length() <= 120)).isTrue();
  }

  @Test
  void allFiguresAsOneDocument() {
    TrainCommandTest.Run shown =
        moe("route", run, "--text", one, "--text", two, "--domains", "a,b", "--json");
    JsonNode json = new JsonMapper().readTree(shown.out());
    assertThat(json.required("domains").valueStream().map(JsonNode::stringValue))
        .containsExactly("a", "b");
    JsonNode layer = json.required("layers").get(0);
    long tokens = json.required("tokens").longValue();
    double load = layer.required("load").valueStream().mapToDouble(JsonNode::doubleValue).sum();
    assertThat(load).isEqualTo(2.0 * tokens);
    assertThat(layer.required("repetition").required("first").isNumber()).isTrue();
    assertThat(layer.required("coactivation").required("counts").size()).isEqualTo(6);
  }

  @Test
  void aPageInTheFileNamed() throws IOException {
    Path page = folder.resolve("route.html");
    TrainCommandTest.Run shown =
        moe("route", run, "--text", one, "--html", page.toString(), "--max-tokens", "20");
    assertThat(shown.out().strip()).isEqualTo(page.toString());
    assertThat(Files.readString(page)).startsWith("<!DOCTYPE html>").contains("20 tokens of one");
  }

  @Test
  void mistakesAreOneLineAndLeaveNothingBehind() throws IOException {
    Path page = folder.resolve("route.html");
    String table = write("t.jsonl", "{\"text\":\"x\"}\n");
    String empty = write("empty.txt", "");
    refused("no domain field \"kind\"", "--text", table, "--domain-field", "kind");
    refused("no text field \"body\"", "--text", table, "--text-field", "body");
    refused("empty.txt: the text is empty", "--text", empty, "--html", page.toString());
    refused("none.txt: no such file", "--text", folder.resolve("none.txt").toString());
    refused("1 domains for 2 files", "--text", one, "--text", two, "--domains", "a");
    refused("context 1: must be at least 2", "--text", one, "--context", "1");
    refused("a folder", "--text", one, "--html", folder.toString());
    assertThat(page).doesNotExist();
    Files.delete(folder.resolve("runs/tiny/model/tokenizer.json"));
    refused("text needs the model's tokenizer", "--text", one);
  }

  private void refused(String problem, String... args) {
    String[] all = new String[args.length + 2];
    all[0] = "route";
    all[1] = run;
    System.arraycopy(args, 0, all, 2, args.length);
    TrainCommandTest.Run shown = moe(all);
    assertThat(shown.status()).isEqualTo(1);
    assertThat(shown.out()).isEmpty();
    assertThat(shown.err()).contains(problem).hasLineCount(1);
  }
}
