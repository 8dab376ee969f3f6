package org.moe4j.models;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.Map;
import org.moe4j.tensor.MoeException;
import tools.jackson.core.JacksonException;
import tools.jackson.core.JsonParser;
import tools.jackson.core.JsonToken;
import tools.jackson.databind.json.JsonMapper;

/**
 * What a {@code tokenizer.json} says of its tokens, read as a stream.
 *
 * @param size one more than the highest id
 * @param added ids of the added tokens by spelling
 */
record TokenizerTable(int size, Map<String, Integer> added) {
  private static final long LARGEST = 256L << 20;
  private static final JsonMapper MAPPER = new JsonMapper();

  TokenizerTable {
    added = Map.copyOf(added);
  }

  static TokenizerTable read(Path file) {
    try {
      if (!Files.isRegularFile(file)) {
        throw new MoeException(file + ": no such file");
      }
      if (Files.size(file) > LARGEST) {
        throw new MoeException(file + ": larger than 256 MB; this is no tokenizer.json");
      }
      try (JsonParser in = MAPPER.createParser(file)) {
        return new Reader(file, in).read();
      }
    } catch (IOException e) {
      throw new MoeException(file + ": the tokenizer cannot be read: " + e, e);
    } catch (JacksonException e) {
      String why = String.valueOf(e.getOriginalMessage()).lines().findFirst().orElse("unreadable");
      throw new MoeException(file + ": malformed JSON: " + why + "; fetch the file again", e);
    }
  }

  private static final class Reader {
    private final Path file;
    private final JsonParser in;
    private final Map<String, Integer> added = new HashMap<>();
    private long highest = -1;

    Reader(Path file, JsonParser in) {
      this.file = file;
      this.in = in;
    }

    TokenizerTable read() {
      if (in.nextToken() != JsonToken.START_OBJECT) {
        throw new MoeException(file + ": not a JSON object; this is no tokenizer.json");
      }
      while (in.nextToken() == JsonToken.PROPERTY_NAME) {
        String name = in.currentName();
        JsonToken value = in.nextToken();
        if (name.equals("model") && value == JsonToken.START_OBJECT) {
          model();
        } else if (name.equals("added_tokens") && value == JsonToken.START_ARRAY) {
          addedTokens();
        } else {
          in.skipChildren();
        }
      }
      if (highest < 0) {
        throw new MoeException(file + ": lists no tokens; this is no tokenizer.json");
      }
      return new TokenizerTable((int) highest + 1, added);
    }

    private void model() {
      while (in.nextToken() == JsonToken.PROPERTY_NAME) {
        boolean vocab = in.currentName().equals("vocab");
        JsonToken value = in.nextToken();
        if (vocab && value == JsonToken.START_OBJECT) {
          while (in.nextToken() == JsonToken.PROPERTY_NAME) {
            in.nextToken();
            note(in.getLongValue());
          }
        } else if (vocab && value == JsonToken.START_ARRAY) {
          // Of Unigram: pairs of token and score, the id being the place.
          for (long id = 0; in.nextToken() != JsonToken.END_ARRAY; id++) {
            in.skipChildren();
            note(id);
          }
        } else {
          in.skipChildren();
        }
      }
    }

    private void addedTokens() {
      while (in.nextToken() == JsonToken.START_OBJECT) {
        long id = -1;
        String content = "";
        while (in.nextToken() == JsonToken.PROPERTY_NAME) {
          String name = in.currentName();
          in.nextToken();
          if (name.equals("id")) {
            id = in.getLongValue();
          } else if (name.equals("content")) {
            content = in.getString();
          } else {
            in.skipChildren();
          }
        }
        note(id);
        added.put(content, (int) id);
      }
    }

    private void note(long id) {
      if (id < 0 || id >= Integer.MAX_VALUE) {
        throw new MoeException(file + ": the token id " + id + " is out of range");
      }
      highest = Math.max(highest, id);
    }
  }
}
