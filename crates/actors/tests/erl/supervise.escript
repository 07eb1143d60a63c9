#!/usr/bin/env escript
%% Plays scripts of supervision with Erlang's own supervisor, and tells what it did.
%%
%% A script is {Strategy, Intensity, AutoShutdown, Plans, Children, Steps}. A child is {Id, Restart, Shutdown,
%% Significant}; Plans says how the starts of each child go. A line of output is one step: what the supervisor
%% did, the answer, and the children that there are after it.
-mode(compile).
-export([main/1, init/1, start/1]).

main([File]) ->
    logger:set_primary_config(level, none),
    process_flag(trap_exit, true),
    ets:new(plans, [named_table, public]),
    ets:new(ids, [named_table, public]),
    %% All that is of interest is done by the supervisor, and so is told in its order.
    erlang:trace(new_processes, true, [call]),
    erlang:trace_pattern({?MODULE, start, 1}, true, [global]),
    erlang:trace_pattern({erlang, exit, 2}, true, [global]),
    {ok, Scripts} = file:consult(File),
    lists:foreach(fun play/1, Scripts).

play({Strategy, Intensity, AutoShutdown, Plans, Children, Steps}) ->
    io:format("script~n"),
    ets:delete_all_objects(plans),
    ets:delete_all_objects(ids),
    ets:insert(plans, Plans),
    Flags = #{strategy => Strategy, intensity => Intensity, period => 3600, auto_shutdown => AutoShutdown},
    Simple = Strategy =:= simple_one_for_one,
    Specs = [spec(Child, Simple) || Child <- Children],
    case supervisor:start_link(?MODULE, {Flags, Specs}) of
        {ok, Sup} ->
            tell(started, children(Sup, Simple)),
            steps(Sup, Simple, Steps);
        {error, {shutdown, {failed_to_start_child, Id, _}}} ->
            receive {'EXIT', Sup, _} -> tell({failed, Id}, []) end
    end.

init(FlagsAndSpecs) ->
    {ok, FlagsAndSpecs}.

spec({Id, Restart, Shutdown, Significant}, Simple) ->
    Arguments = case Simple of true -> []; false -> [Id] end,
    #{id => Id, restart => Restart, shutdown => Shutdown, significant => Significant,
      start => {?MODULE, start, Arguments}}.

start(Id) ->
    Plan = case ets:lookup(plans, Id) of
        [{_, [First | Rest]}] -> ets:insert(plans, {Id, Rest}), First;
        _ -> ok
    end,
    case Plan of
        ok ->
            Pid = spawn_link(fun() -> receive {die, Reason} -> exit(Reason) end end),
            ets:insert(ids, [{Pid, Id}, {Id, Pid}]),
            {ok, Pid};
        ignore -> ignore;
        fail -> {error, planned}
    end.

steps(Sup, _, []) ->
    exit(Sup, shutdown),
    receive {'EXIT', Sup, shutdown} -> ok end,
    tell(exit, []);
steps(Sup, Simple, [Step | Steps]) ->
    {Dead, Answer} = step(Sup, Simple, Step),
    case settle(Sup, Dead) of
        over ->
            tell(exit, []);
        _ ->
            tell(Answer, children(Sup, Simple)),
            steps(Sup, Simple, Steps)
    end.

step(Sup, Simple, {die, Id, Reason}) ->
    case alive(Sup, Simple, Id) of
        none -> {none, none};
        Pid when Reason =:= kill -> exit(Pid, kill), {Pid, none};
        Pid -> Pid ! {die, Reason}, {Pid, none}
    end;
step(Sup, true, {add, {Id, _, _, _}}) ->
    {none, answer(supervisor:start_child(Sup, [Id]))};
step(Sup, false, {add, Child}) ->
    {none, answer(supervisor:start_child(Sup, spec(Child, false)))};
step(Sup, true, {stop, Id}) ->
    case alive(Sup, true, Id) of
        none -> {none, not_found};
        Pid -> {none, answer(supervisor:terminate_child(Sup, Pid))}
    end;
step(Sup, false, {stop, Id}) ->
    {none, answer(supervisor:terminate_child(Sup, Id))};
step(Sup, false, {start, Id}) ->
    {none, answer(supervisor:restart_child(Sup, Id))};
step(Sup, false, {delete, Id}) ->
    {none, answer(supervisor:delete_child(Sup, Id))}.

answer(ok) -> ok;
answer({ok, _}) -> ok;
answer({error, running}) -> running;
answer({error, not_found}) -> not_found;
answer({error, planned}) -> failed;
answer({error, {planned, _}}) -> failed.

alive(Sup, Simple, Id) ->
    case [Pid || {Name, Pid} <- named(Sup, Simple), Name =:= Id, is_pid(Pid)] of
        [Pid] -> Pid;
        [] -> none
    end.

%% Waits until the supervisor has dealt with the end of a child, and tries no start again.
settle(Sup, Dead) ->
    receive
        {'EXIT', Sup, shutdown} -> over
    after 0 ->
        case catch supervisor:which_children(Sup) of
            {'EXIT', _} ->
                receive {'EXIT', Sup, shutdown} -> over end;
            Children ->
                Pids = [Pid || {_, Pid, _, _} <- Children],
                case lists:member(Dead, Pids) orelse lists:member(restarting, Pids) of
                    true -> settle(Sup, Dead);
                    false -> up
                end
        end
    end.

%% In the order of their start.
named(Sup, true) ->
    [{ets:lookup_element(ids, Pid, 2), Pid} || {_, Pid, _, _} <- supervisor:which_children(Sup), is_pid(Pid)];
named(Sup, false) ->
    lists:reverse([{Id, Pid} || {Id, Pid, _, _} <- supervisor:which_children(Sup)]).

children(Sup, Simple) ->
    Children = [{Id, is_pid(Pid)} || {Id, Pid} <- named(Sup, Simple)],
    Active = length([Id || {Id, true} <- Children]),
    Active = proplists:get_value(active, supervisor:count_children(Sup)),
    case Simple of true -> lists:sort(Children); false -> Children end.

tell(Answer, Children) ->
    Ref = erlang:trace_delivered(all),
    receive {trace_delivered, all, Ref} -> ok end,
    Told = [told(Event) || Event <- events()],
    Line = lists:append(Told) ++ [said(Answer)] ++ [child(Child) || Child <- Children],
    io:format("~s~n", [lists:join(" ", Line)]).

events() ->
    receive
        {trace, _, call, What} -> [What | events()]
    after 0 -> []
    end.

told({_, start, [Id]}) ->
    [io_lib:format("start:~p", [Id])];
told({erlang, exit, [Pid, _]}) ->
    case ets:lookup(ids, Pid) of
        [{_, Id}] -> [io_lib:format("stop:~p", [Id])];
        [] -> []
    end.

said({failed, Id}) -> io_lib:format("failed:~p", [Id]);
said(Answer) -> atom_to_list(Answer).

child({Id, true}) -> io_lib:format("~p+", [Id]);
child({Id, false}) -> io_lib:format("~p-", [Id]).
