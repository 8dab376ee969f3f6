package org.moe4j.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.moe4j.lab.Verdict;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

class PaperCommandTest {
  private record Ended(int status, String out, String err) {}

  private static Ended moe(String... args) {
    StringWriter out = new StringWriter();
    StringWriter err = new StringWriter();
    int status = Moe.run(Moe.COMMANDS, new PrintWriter(out), new PrintWriter(err), args);
    return new Ended(status, out.toString(), err.toString());
  }

  private static void refused(int status, String line, String... args) {
    Ended end = moe(args);
    assertThat(end.err()).startsWith("moe: ").contains(line).containsOnlyOnce("\n");
    assertThat(end.out()).isEmpty();
    assertThat(end.status()).isEqualTo(status);
  }

  @Test
  void theListHasAllSixtyPapers() {
    Ended end = moe("paper", "list", "--json");
    assertThat(end.status()).isZero();
    JsonNode list = new JsonMapper().readTree(end.out());
    assertThat(list.size()).isEqualTo(60);
    for (int i = 0; i < 60; i++) {
      assertThat(list.get(i).get("id").stringValue()).isEqualTo("S%02d".formatted(i + 1));
      assertThat(list.get(i).get("title").stringValue()).isNotBlank();
      assertThat(list.get(i).get("state").stringValue()).isIn("runs", "needs-gpu", "planned");
    }
    assertThat(list.valueStream().map(p -> p.get("state").stringValue()))
        .contains("runs", "planned");
    assertThat(list.get(0).get("title").stringValue()).contains("Sparsely-Gated");
    assertThat(moe("paper", "list").out().lines()).hasSize(60);
  }

  @Test
  void aRunEndsWellWhateverTheVerdict(@TempDir Path folder) throws Exception {
    Path html = folder.resolve("new").resolve("s01.html");
    Ended end =
        moe("paper", "run", "s01", "--steps", "2", "--seeds", "1", "--json", "--html", "" + html);
    assertThat(end.status()).as(end.err()).isZero();
    assertThat(end.err()).contains("S01: seed 1").contains(" left");
    JsonNode result = new JsonMapper().readTree(end.out());
    List<String> known = List.of(Verdict.values()).stream().map(Verdict::label).toList();
    assertThat(result.get("verdict").stringValue()).isIn(known);
    assertThat(result.get("command").stringValue())
        .isEqualTo("moe paper run S01 --steps 2 --seeds 1");
    assertThat(Files.readString(html)).contains("Sparsely-Gated MoE", "Run it again", "</html>");
  }

  @Test
  void whatCannotBeRunIsSaidInOneLine() {
    refused(Moe.FAILED, "no experiment yet; moe paper list", "paper", "run", "S03");
    refused(Moe.FAILED, "goes from S01 to S60", "paper", "run", "S61");
    refused(Moe.WRONG_USAGE, "name one paper, or give --all", "paper", "run");
    refused(Moe.WRONG_USAGE, "name one paper, or give --all", "paper", "run", "S01", "--all");
    refused(Moe.WRONG_USAGE, "no time such as 90s", "paper", "run", "S01", "--budget", "soon");
    refused(Moe.FAILED, "--budget must be more than 0", "paper", "run", "S01", "--budget", "0");
    refused(Moe.FAILED, "--seeds must be more than 0", "paper", "run", "S01", "--seeds", "0");
    refused(Moe.FAILED, "--steps must be more than 0", "paper", "run", "--all", "--steps", "-1");
  }

  @Test
  void aPageThatCannotBeWrittenIsRefusedBeforeTheRun(@TempDir Path folder) throws Exception {
    Path file = Files.writeString(folder.resolve("file"), "kept");
    refused(Moe.FAILED, "a folder; name the file", "paper", "run", "S01", "--html", "" + folder);
    refused(Moe.FAILED, "is a file", "paper", "run", "S01", "--html", file + "/page.html");
    refused(Moe.FAILED, "is a file", "paper", "run", "--all", "--html", "" + file);
    Path nowhere = Path.of("/proc/moe.html");
    if (Files.isDirectory(nowhere.getParent())) {
      refused(Moe.FAILED, "no permission to write", "paper", "run", "S01", "--html", "" + nowhere);
    }
    assertThat(file).hasContent("kept");
    assertThat(folder).isDirectoryNotContaining(f -> !f.equals(file));
  }

  @Test
  void everyHelpHasAnExample() {
    for (String[] help :
        new String[][] {
          {"paper", "--help"}, {"paper", "list", "--help"}, {"paper", "run", "--help"}
        }) {
      assertThat(moe(help).out()).contains("Examples:\n  moe paper");
    }
  }
}
