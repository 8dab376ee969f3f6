/*
 * Blocks, loops and attributes: what a template prints, its scopes, and the methods of strings.
 * Evaluated behind jinja.js, whose declarations it extends.
 */
// --- blocks and loops ------------------------------------------------------------------------------

var SILENT = { Set: 1, Macro: 1, Comment: 1 };

/** Text made before a break or continue belongs to the output. */
Interpreter.prototype.evaluateBlock = function (statements, environment) {
  var result = '';
  for (var i = 0; i < statements.length; i++) {
    try {
      var value = this.evaluate(statements[i], environment);
      if (SILENT[statements[i].type] === undefined) {
        result = limited(result + str(value));
      }
    } catch (e) {
      if (e instanceof BreakControl || e instanceof ContinueControl) {
        e.text = result + (e.text || '');
      }
      throw e;
    }
  }
  return new StringValue(result);
};

function itemsOf(value) {
  if (value instanceof StringValue) {
    return Array.from(value.value).map(function (c) { return new StringValue(c); });
  }
  if (value instanceof ObjectValue) {
    return value.keys().value;
  }
  if (value instanceof ArrayValue) {
    return value.value;
  }
  if (value instanceof UndefinedValue) {
    return [];
  }
  throw new Error('a ' + value.type + ' cannot be looped over');
}

function assign(target, value, scope) {
  if (target.type === 'Identifier') {
    scope.setVariable(target.value, value);
    return;
  }
  var items = itemsOf(value);
  if (target.type !== 'TupleLiteral' || items.length !== target.value.length) {
    throw new Error('cannot unpack ' + items.length + ' items into the loop variables');
  }
  for (var i = 0; i < items.length; i++) {
    assign(target.value[i], items[i], scope);
  }
}

function loopOf(items, i) {
  var loop = new Map();
  loop.set('index', new IntegerValue(i + 1));
  loop.set('index0', new IntegerValue(i));
  loop.set('revindex', new IntegerValue(items.length - i));
  loop.set('revindex0', new IntegerValue(items.length - i - 1));
  loop.set('first', truth(i === 0));
  loop.set('last', truth(i === items.length - 1));
  loop.set('length', new IntegerValue(items.length));
  loop.set('previtem', i > 0 ? items[i - 1] : new UndefinedValue());
  loop.set('nextitem', i < items.length - 1 ? items[i + 1] : new UndefinedValue());
  loop.set('cycle', new FunctionValue(function (args) { return args[i % args.length]; }));
  return new ObjectValue(loop);
}

/** Every round has a scope of its own: what one sets, the next does not see. */
Interpreter.prototype.evaluateFor = function (node, environment) {
  var select = node.iterable.type === 'SelectExpression';
  var source = this.evaluate(select ? node.iterable.lhs : node.iterable, environment);
  var interpreter = this;
  var items = itemsOf(source).filter(function (item) {
    if (!select) {
      return true;
    }
    var scope = new Environment(environment);
    assign(node.loopvar, item, scope);
    return interpreter.evaluate(node.iterable.test, scope).__bool__().value;
  });
  if (items.length === 0) {
    return this.evaluateBlock(node.defaultBlock, new Environment(environment));
  }
  var result = '';
  for (var i = 0; i < items.length; i++) {
    var scope = new Environment(environment);
    scope.setVariable('loop', loopOf(items, i));
    assign(node.loopvar, items[i], scope);
    try {
      result = limited(result + this.evaluateBlock(node.body, scope).value);
    } catch (e) {
      if (!(e instanceof BreakControl || e instanceof ContinueControl)) {
        throw e;
      }
      result = limited(result + e.text);
      if (e instanceof BreakControl) {
        break;
      }
    }
  }
  return new StringValue(result);
};

// --- attributes and methods ------------------------------------------------------------------------

/** Of a dot, methods come before entries; of brackets, entries before methods. */
Interpreter.prototype.evaluateMemberExpression = function (node, environment) {
  var object = this.evaluate(node.object, environment);
  var computed = node.computed;
  if (computed && node.property.type === 'SliceExpression') {
    return this.evaluateSliceExpression(object, node.property, environment);
  }
  var key = computed ? this.evaluate(node.property, environment).value : node.property.value;
  if (object instanceof UndefinedValue || object instanceof NullValue) {
    if (object instanceof UndefinedValue) {
      throw new Error("'" + key + "' of an undefined value");
    }
    return new UndefinedValue();
  }
  var found;
  if (typeof key === 'number' && (object instanceof ArrayValue || object instanceof StringValue)) {
    found = itemsOf(object).at(key);
  } else if (isAttributeContainer(object)) {
    var method = object instanceof ObjectValue ? object.builtins.get(key) : undefined;
    var entry = object.value.get(key);
    found = computed ? entry || method : method || entry;
  } else {
    found = object.builtins.get(key);
  }
  return found instanceof RuntimeValue ? found : new UndefinedValue();
};

function keyword(args, at, name, absent) {
  var last = args[args.length - 1];
  var named = last instanceof KeywordArgumentsValue ? last.value : new Map();
  var placed = args[at] instanceof KeywordArgumentsValue ? undefined : args[at];
  return placed || named.get(name) || absent;
}

function stripped(text, args, left, right) {
  var chars = keyword(args, 0, 'chars', new NullValue());
  var drop = chars instanceof NullValue
    ? function (c) { return /\s/.test(c); }
    : function (c) { return chars.value.indexOf(c) >= 0; };
  var points = Array.from(text);
  var from = 0;
  var to = points.length;
  while (left && from < to && drop(points[from])) {
    from++;
  }
  while (right && to > from && drop(points[to - 1])) {
    to--;
  }
  return new StringValue(points.slice(from, to).join(''));
}

function capitalized(word) {
  return word.charAt(0).toUpperCase() + word.substring(1).toLowerCase();
}

function splitFromRight(text, separator, most) {
  var parts = [];
  var end = text.length;
  for (var at = text.lastIndexOf(separator); at >= 0 && most-- !== 0;
      at = at === 0 ? -1 : text.lastIndexOf(separator, at - separator.length)) {
    parts.unshift(text.substring(at + separator.length, end));
    end = at;
  }
  parts.unshift(text.substring(0, end));
  return parts;
}

function texts(list) {
  return new ArrayValue(list.map(function (s) { return new StringValue(s); }));
}

var STRING_METHODS = {
  strip: function (s, args) { return stripped(s, args, true, true); },
  lstrip: function (s, args) { return stripped(s, args, true, false); },
  rstrip: function (s, args) { return stripped(s, args, false, true); },
  title: function (s) {
    return new StringValue(s.replace(/[A-Za-z\u00c0-\u024f]+/g, capitalized));
  },
  capitalize: function (s) { return new StringValue(capitalized(s)); },
  find: function (s, args) {
    var at = s.indexOf(args[0].value);
    return new IntegerValue(at < 0 ? -1 : Array.from(s.substring(0, at)).length);
  },
  count: function (s, args) { return new IntegerValue(s.split(args[0].value).length - 1); },
  rsplit: function (s, args) {
    var separator = keyword(args, 0, 'sep', new NullValue());
    if (!(separator instanceof StringValue) || separator.value.length === 0) {
      throw new Error('rsplit() without a separator is not supported');
    }
    var most = keyword(args, 1, 'maxsplit', new IntegerValue(-1)).value;
    return texts(splitFromRight(s, separator.value, most));
  },
  splitlines: function (s) {
    var lines = s.split(/\r\n|\n|\r/);
    return texts(lines[lines.length - 1] === '' ? lines.slice(0, -1) : lines);
  },
  removeprefix: function (s, args) {
    return new StringValue(s.startsWith(args[0].value) ? s.substring(args[0].value.length) : s);
  },
  removesuffix: function (s, args) {
    var end = args[0].value;
    return new StringValue(s.endsWith(end) ? s.substring(0, s.length - end.length) : s);
  },
  join: function (s, args) { return textOf(itemsOf(args[0]).map(str).join(s)); },
  isdigit: function (s) { return truth(/^[0-9]+$/.test(s)); },
  isspace: function (s) { return truth(/^\s+$/.test(s)); }
};

var stringBuiltins = Object.getOwnPropertyDescriptor(StringValue.prototype, 'builtins').get;
Object.defineProperty(StringValue.prototype, 'builtins', {
  get: function () {
    if (this._builtins) {
      return this._builtins;
    }
    var all = stringBuiltins.call(this);
    var text = this.value;
    all.delete('length'); // JavaScript's; Python has none
    Object.keys(STRING_METHODS).forEach(function (name) {
      all.set(name, new FunctionValue(function (args) { return STRING_METHODS[name](text, args); }));
    });
    return all;
  }
});

var arrayBuiltins = new Map();
Object.defineProperty(ArrayValue.prototype, 'builtins', {
  get: function () { return arrayBuiltins; }
});

ObjectValue.prototype.items = function () {
  return new ArrayValue(Array.from(this.value.entries()).map(function (entry) {
    return new TupleValue([new StringValue(entry[0]), entry[1]]);
  }));
};
