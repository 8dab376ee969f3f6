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

  @Test
  void theListHasAllSixtyPapers() {
    Ended end = moe("paper", "list", "--json");
    assertThat(end.status()).isZero();
    JsonNode list = new JsonMapper().readTree(end.out());
    assertThat(list.size()).isEqualTo(60);
    List<String> states = list.valueStream().map(p -> p.get("state").stringValue()).toList();
    assertThat(states).contains("runs", "planned");
    assertThat(list.get(0).get("id").stringValue()).isEqualTo("S01");
    assertThat(list.get(0).get("title").stringValue()).contains("Sparsely-Gated");
    assertThat(moe("paper", "list").out().lines()).hasSize(60);
  }

  @Test
  void aRunEndsWellWhateverTheVerdict(@TempDir Path folder) throws Exception {
    Path html = folder.resolve("s01.html");
    Ended end =
        moe("paper", "run", "s01", "--steps", "2", "--seeds", "1", "--json", "--html", "" + html);
    assertThat(end.status()).as(end.err()).isZero();
    JsonNode result = new JsonMapper().readTree(end.out());
    List<String> known = List.of(Verdict.values()).stream().map(Verdict::label).toList();
    assertThat(result.get("verdict").stringValue()).isIn(known);
    assertThat(result.get("command").stringValue())
        .isEqualTo("moe paper run S01 --steps 2 --seeds 1");
    assertThat(Files.readString(html)).contains("Sparsely-Gated MoE", "Run it again");
  }

  @Test
  void whatCannotBeRunIsSaidInOneLine() {
    assertThat(moe("paper", "run", "S03").err()).containsOnlyOnce("\n").contains("no experiment");
    assertThat(moe("paper", "run", "S03").status()).isEqualTo(Moe.FAILED);
    assertThat(moe("paper", "run").status()).isEqualTo(Moe.WRONG_USAGE);
    assertThat(moe("paper", "run", "S01", "--all").status()).isEqualTo(Moe.WRONG_USAGE);
    assertThat(moe("paper", "run", "S01", "--budget", "soon").err()).contains("no time such as");
    assertThat(moe("paper", "run", "S01", "--seeds", "0").status()).isEqualTo(Moe.FAILED);
  }
}
