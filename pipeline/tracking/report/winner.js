// The winner: its metrics, its parameters, and the command that trains it again. And what stands behind the sweep.

function commandLine(text, label) {
  const button = h('button', {type: 'button', 'aria-label': `Copy: ${label}`, onclick: async () => {
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      const area = h('textarea', {style: 'position:fixed;opacity:0'});
      area.value = text;
      document.body.append(area);
      area.select();
      document.execCommand('copy');
      area.remove();
    }
    button.textContent = 'Copied';
    setTimeout(() => { button.textContent = 'Copy'; }, 1500);
  }}, 'Copy');
  return h('div', {class: 'command'}, h('pre', {}, text.split(/(?<=[=/,])/).flatMap(part => [part, h('wbr')])), button);
}

function winnerSection(sweep) {
  const trial = sweep.best;
  if (!trial) {
    const done = sweep.trials.filter(t => t.epochs).length;
    const open = sweep.trials.some(t => ['waiting', 'interrupted', 'paused'].includes(t.status));
    return section('winner', open ? 'No winner yet' : 'No winner', {short: 'Winner'}, h('p', {}, `${open ? 'No trial has completed' : 'All have ended, and none completed'}; ${done} of ${plural(sweep.trials.length, 'trial')} trained at least an epoch.`));
  }
  const {winner} = sweep, tile = (name, text, main) => h('div', {class: main ? 'tile main' : 'tile'}, h('b', {}, text), h('span', {}, name));
  const others = sweep.metrics.map((name, m) => [name, trial.metrics[m]]).filter(([name, v], m) => m && v !== null && name.startsWith('val_'));
  const test = winner.test ? Object.entries(winner.test.metrics).map(([name, v]) => tile(`test ${name}, ${plural(winner.test.n, 'example')}`, metric(v))) : [];
  const training = sweep.metrics.map((name, m) => [name, trial.metrics[m]]).filter(([name, v], m) => m && v !== null && !name.startsWith('val_'));
  const rows = sweep.axes.map((axis, a) => [axis, a]).filter(([, a]) => trial.params[a] !== null).map(([axis, a]) => h('tr', {},
    rowHead(axis.key), h('td', {class: 'reads'}, h('b', {class: String(trial.params[a]).length > 24 ? 'value' : 'nowrap'}, value(axis, trial.params[a])), axis.scale === 'one_minus_log' ? h('span', {class: 'soft'}, ` ${windowOf(axis, trial.params[a])}`) : null),
    h('td', {class: 'place'}, axis.ranges[trial.arm] && axis.scale !== 'choice' ? h('span', {class: 'where', role: 'img', 'aria-label': `at ${Math.round(100 * share(axis, trial.at[a]))} % of the axis`}, h('i', {style: `left:${100 * clamp(share(axis, trial.at[a]), 0, 1)}%`})) : null)));
  const {seeds} = trial;
  if (seeds && seeds.mean !== null) others.unshift([`mean of ${plural(seeds.seeds, 'other seed')}${seeds.sd === null ? '' : `, sd ${metric(seeds.sd)}`}`, seeds.mean]);
  return section('winner', `${trial.status === 'completed' ? 'Winner' : `Best so far, ${trial.status}`}: trial ${trial.number}`, {short: 'Winner'},
    h('div', {class: 'tiles'}, tile(`${sweep.metric}, validation`, metric(trial.score), true), others.map(([name, v]) => tile(name, metric(v))), test,
      tile('best epoch', `${trial.bestEpoch} of ${trial.epochs}`), trial.parameters ? tile('parameters of the model', trial.parameters.toLocaleString('en')) : null),
    winner.cautions.map(text => h('p', {class: 'warn'}, text.replace(/^(\w+): */, (_, word) => `${word[0].toUpperCase()}${word.slice(1)}: `))),
    winner.test ? null : h('p', {class: 'note'}, 'The test split was not read.'),
    h('div', {class: 'columns'},
      h('div', {}, h('h3', {}, sweep.schedule.length ? 'Its parameters, as it began' : 'Its parameters'), rows.length ? h('table', {class: 'facts'}, h('tbody', {}, rows)) : h('p', {class: 'note'}, 'Nothing was searched.')),
      h('div', {},
        winner.command ? [h('h3', {}, 'Train it again'), commandLine(winner.command, 'the command that trains it again')] : null,
        winner.nearly && winner.nearly !== winner.command ? [h('h3', {}, 'Its values by themselves'), commandLine(winner.nearly, 'its values')] : null,
        training.length ? h('p', {class: 'note'}, `In training: ${training.map(([name, v]) => `${name} ${metric(v)}`).join(', ')}.`) : null)));
}

function spaceSection(sweep) {
  const rows = sweep.axes.map(axis => {
    const texts = axis.ranges.some(Boolean) ? [...new Set(axis.ranges.filter(Boolean))].map(text => {
      const who = sweep.arms.filter((_, i) => axis.ranges[i] === text);
      return h('div', {}, h('code', {}, text), sweep.severalArms && who.length < sweep.arms.length ? h('span', {class: 'soft'}, ` ${who.join(' | ')}`) : null);
    }) : h('span', {class: 'soft'}, `compared: ${axis.choices.join(', ') || 'given'}`);
    return h('tr', {}, rowHead(axis.key, axis.tier ? h('div', {class: 'soft small'}, `tier ${axis.tier}`) : null), h('td', {}, texts));
  });
  const fixed = Object.entries(sweep.fixed);
  return section('space', 'Space', {half: true},
    rows.length ? h('table', {class: 'facts'}, h('tbody', {}, rows)) : h('p', {class: 'note'}, 'Nothing was searched.'),
    fixed.length ? h('details', {}, h('summary', {}, `What all trials have in common (${fixed.length} keys)`), facts(fixed)) : null);
}

function dataSection(sweep) {
  const rows = Object.entries(sweep.data).filter(([, text]) => text);
  const versions = Object.entries(sweep.versions);
  return section('data-set', 'Data and versions', {half: true, short: 'Data'}, facts([
    ...rows,
    ['folder', sweep.folder],
    ['sampler', sweep.sampler || '–'],
    ['begun', sweep.begun ? new Date(sweep.begun * 1000).toLocaleString('en', {dateStyle: 'medium', timeStyle: 'short'}) : '–'],
    ['report made', DATA.made],
    ...(versions.length ? [['versions', versions.map(([name, version]) => `${name} ${version}`).join(', ')]] : []),
  ]));
}
